//! Countries, by their two-letter codes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The twenty most populous countries, when nothing else is asked for.
const POPULOUS: &str = "CN IN US ID BR PK NG BD RU JP MX PH VN ET EG DE IR TR CD FR";

/// What is at <https://www.fluentpython.com/data/flags>.
const REMOTE: &str = "AD AE AF AG AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BN BO BR BS BT BW BY BZ CA CD CF CG \
    CH CI CL CM CN CO CR CU CV CY CZ DE DJ DK DM DZ EC EE EG ER ES ET FI FJ FM FR GA GB GD GE GH GM GN GQ GR GT GW GY \
    HN HR HT HU ID IE IL IN IQ IR IS IT JM JO JP KE KG KH KI KM KN KP KR KW KZ LA LB LC LI LK LR LS LT LU LV LY MA MC \
    MD ME MG MH MK ML MM MN MR MT MU MV MW MX MY MZ NA NE NG NI NL NO NP NR NZ OM PA PE PG PH PK PL PT PW PY QA RO RS \
    RU RW SA SB SC SD SE SG SI SK SL SM SN SO SR SS ST SV SY SZ TD TG TH TJ TL TM TN TO TR TT TV TW TZ UA UG US UY UZ \
    VA VC VE VN VU WS YE ZA ZM ZW";

/// Names a country by two capital letters. There need not be one of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Country([u8; 2]);

impl Country {
    /// The twenty most populous countries.
    pub(crate) fn populous() -> Vec<Self> {
        listed(POPULOUS)
    }

    /// The countries that the server on the web has flags of.
    pub(crate) fn remote() -> Vec<Self> {
        listed(REMOTE)
    }

    /// Every combination of two letters, AA to ZZ.
    pub(crate) fn every() -> Vec<Self> {
        let letters = b'A'..=b'Z';
        letters.clone().flat_map(|first| letters.clone().map(move |second| Self([first, second]))).collect()
    }

    /// The code as it stands in addresses and file names.
    pub(crate) fn to_lowercase(self) -> String {
        self.to_string().to_lowercase()
    }

    /// A number of its own for each country.
    pub(crate) fn number(self) -> u64 {
        u64::from(u16::from_be_bytes(self.0))
    }
}

fn listed(codes: &str) -> Vec<Country> {
    codes.split_whitespace().map(|code| code.parse().expect("the lists above have two letters a country")).collect()
}

impl FromStr for Country {
    type Err = &'static str;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        match *code.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Ok(Self([first.to_ascii_uppercase(), second.to_ascii_uppercase()]))
            }
            _ => Err("a country is two letters, as in BR"),
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        f.pad(&format!("{first}{second}"))
    }
}

#[cfg(test)]
mod tests {
    //! Codes: which are taken, and how they read.
    use super::Country;

    #[test]
    fn two_letters_in_any_case_are_a_country() {
        assert_eq!("br".parse::<Country>().unwrap().to_string(), "BR");
        assert_eq!("Br".parse::<Country>().unwrap().to_lowercase(), "br");
        for bad in ["", "B", "BRA", "B1", "B ", "é", "../"] {
            assert!(bad.parse::<Country>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_lists_have_no_country_twice() {
        for (list, length) in [(Country::populous(), 20), (Country::remote(), 194), (Country::every(), 676)] {
            let distinct: std::collections::HashSet<_> = list.iter().collect();
            assert_eq!((list.len(), distinct.len()), (length, length));
        }
    }
}
