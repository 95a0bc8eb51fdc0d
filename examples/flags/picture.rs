//! The flags that the servers here know, drawn with few strokes, to be recognised.

use gif::EncodingError;

use crate::canvas::{Canvas, Colour, Point, RATIO, at_angle};
use crate::country::Country;

const WHITE: Colour = 0xFFFFFF;
const BLACK: Colour = 0x000000;
const MIDDLE: Point = (RATIO / 2.0, 0.5);

type Draw = fn() -> Canvas;

/// Every flag: the twenty most populous countries, then some that are easy to draw.
const FLAGS: [(&str, Draw); 32] = [
    ("CN", china),
    ("IN", india),
    ("US", united_states),
    ("ID", || Canvas::horizontal(&[0xFF0000, WHITE])),
    ("BR", brazil),
    ("PK", pakistan),
    ("NG", || Canvas::vertical(&[0x008751, WHITE, 0x008751])),
    ("BD", || Canvas::new(0x006A4E).disc(0xF42A41, (0.675, 0.5), 0.32)),
    ("RU", || Canvas::horizontal(&[WHITE, 0x0039A6, 0xD52B1E])),
    ("JP", || Canvas::new(WHITE).disc(0xBC002D, MIDDLE, 0.3)),
    ("MX", mexico),
    ("PH", philippines),
    ("VN", || Canvas::new(0xDA251D).star(0xFFFF00, MIDDLE, 0.3, 0.0)),
    ("ET", ethiopia),
    ("EG", egypt),
    ("DE", || Canvas::horizontal(&[BLACK, 0xDD0000, 0xFFCE00])),
    ("IR", iran),
    ("TR", turkey),
    ("CD", congo),
    ("FR", || Canvas::vertical(&[0x002654, WHITE, 0xED2939])),
    ("AT", || Canvas::horizontal(&[0xED2939, WHITE, 0xED2939])),
    ("BE", || Canvas::vertical(&[BLACK, 0xFFE936, 0xFF0F21])),
    ("BG", || Canvas::horizontal(&[WHITE, 0x00966E, 0xD62612])),
    ("DK", || cross(0xC8102E, WHITE)),
    ("FI", || cross(WHITE, 0x002F6C)),
    ("HU", || Canvas::horizontal(&[0xCE2939, WHITE, 0x477050])),
    ("IE", || Canvas::vertical(&[0x169B62, WHITE, 0xFF883E])),
    ("IT", || Canvas::vertical(&[0x009246, WHITE, 0xCE2B37])),
    ("NL", || Canvas::horizontal(&[0xAE1C28, WHITE, 0x21468B])),
    ("PL", || Canvas::horizontal(&[WHITE, 0xDC143C])),
    ("SE", || cross(0x006AA7, 0xFECC00)),
    ("UA", || Canvas::horizontal(&[0x0057B7, 0xFFD700])),
];

/// The countries whose flags there are.
pub(crate) fn countries() -> Vec<Country> {
    FLAGS.iter().map(|(code, _)| code.parse().expect("the table above has two letters a country")).collect()
}

/// The flag of a country as a GIF file, if there is one.
pub(crate) fn draw(country: Country) -> Option<Result<Vec<u8>, EncodingError>> {
    let code = country.to_string();
    let (_, draw) = FLAGS.iter().find(|(known, _)| *known == code)?;
    Some(draw().into_gif())
}

fn cross(cloth: Colour, arms: Colour) -> Canvas {
    Canvas::new(cloth).rectangle(arms, (0.45, 0.0), (0.65, 1.0)).rectangle(arms, (0.0, 0.4), (RATIO, 0.6))
}

fn china() -> Canvas {
    const YELLOW: Colour = 0xFFFF00;
    let great = (0.25, 0.25);
    let small: [Point; 4] = [(0.5, 0.1), (0.6, 0.2), (0.6, 0.35), (0.5, 0.45)];
    small.into_iter().fold(Canvas::new(0xEE1C25).star(YELLOW, great, 0.15, 0.0), |canvas, star| {
        // Each small star points at the great one.
        let turn = (great.1 - star.1).atan2(great.0 - star.0) / std::f32::consts::TAU + 0.25;
        canvas.star(YELLOW, star, 0.05, turn)
    })
}

fn india() -> Canvas {
    const NAVY: Colour = 0x000080;
    Canvas::horizontal(&[0xFF9933, WHITE, 0x138808])
        .ring(NAVY, MIDDLE, 0.145, 0.125)
        .rays(NAVY, MIDDLE, 0.0, 0.13, 24, 0.008)
        .disc(NAVY, MIDDLE, 0.03)
}

fn united_states() -> Canvas {
    const RED: Colour = 0xB22234;
    let stripes: Vec<Colour> = (0..13).map(|stripe| if stripe % 2 == 0 { RED } else { WHITE }).collect();
    let (width, height) = (0.6, 7.0 / 13.0);
    let mut flag = Canvas::horizontal(&stripes).rectangle(0x3C3B6E, (0.0, 0.0), (width, height));
    for row in 1..10_u8 {
        // Rows of six and five stars in turn.
        for column in (1..12_u8).filter(|column| column % 2 == row % 2) {
            let star = (f32::from(column) * width / 12.0, f32::from(row) * height / 10.0);
            flag = flag.star(WHITE, star, 0.031, 0.0);
        }
    }
    flag
}

fn brazil() -> Canvas {
    const BLUE: Colour = 0x002776;
    let radius = 0.245;
    let globe = |x: f32, y: f32| (x - MIDDLE.0).hypot(y - MIDDLE.1) < radius;
    let stars: [Point; 9] = [
        (0.62, 0.55),
        (0.66, 0.62),
        (0.72, 0.58),
        (0.76, 0.66),
        (0.82, 0.60),
        (0.87, 0.64),
        (0.70, 0.69),
        (0.80, 0.41),
        (0.88, 0.57),
    ];
    let flag = Canvas::new(0x009C3B)
        .polygon(0xFFDF00, &[(0.12, 0.5), (0.75, 0.09), (1.38, 0.5), (0.75, 0.91)])
        .disc(BLUE, MIDDLE, radius)
        // The banner is the part of a great circle's rim that lies in the globe.
        .paint(WHITE, (0.5, 0.25), (1.0, 0.75), |x, y| {
            globe(x, y) && (0.565..0.615).contains(&(x - 0.6).hypot(y - 1.04))
        });
    stars.into_iter().fold(flag, |canvas, star| canvas.star(WHITE, star, 0.016, 0.0))
}

fn pakistan() -> Canvas {
    Canvas::new(0x01411C)
        .rectangle(WHITE, (0.0, 0.0), (0.375, 1.0))
        .crescent(WHITE, (0.94, 0.5), 0.3, (1.01, 0.43), 0.27)
        .star(WHITE, (1.06, 0.37), 0.1, 0.1)
}

fn turkey() -> Canvas {
    Canvas::new(0xE30A17).crescent(WHITE, (0.5, 0.5), 0.25, (0.5625, 0.5), 0.2).star(WHITE, (0.79, 0.5), 0.125, 0.75)
}

fn mexico() -> Canvas {
    const BROWN: Colour = 0x8C521F;
    const GREEN: Colour = 0x2E7D32;
    Canvas::vertical(&[0x006847, WHITE, 0xCE1126])
        // The wreath, the cactus, and the eagle on it with a snake.
        .paint(GREEN, (0.5, 0.5), (1.0, 0.75), |x, y| (0.175..0.2).contains(&(x - 0.75).hypot(y - 0.5)))
        .rectangle(GREEN, (0.735, 0.58), (0.765, 0.66))
        .disc(GREEN, (0.70, 0.59), 0.03)
        .disc(GREEN, (0.80, 0.59), 0.03)
        .polygon(BROWN, &[(0.76, 0.42), (0.86, 0.33), (0.88, 0.46), (0.82, 0.56), (0.75, 0.55)])
        .polygon(BROWN, &[(0.74, 0.42), (0.63, 0.37), (0.64, 0.48), (0.70, 0.54), (0.76, 0.55)])
        .polygon(BROWN, &[(0.71, 0.40), (0.79, 0.40), (0.79, 0.56), (0.75, 0.60), (0.71, 0.56)])
        .disc(BROWN, (0.735, 0.375), 0.04)
        .polygon(0xF9A825, &[(0.70, 0.36), (0.705, 0.395), (0.665, 0.40)])
        .line(GREEN, (0.66, 0.40), (0.68, 0.46), 0.015)
        .line(GREEN, (0.68, 0.46), (0.64, 0.52), 0.015)
        .line(0x30A9DE, (0.68, 0.665), (0.82, 0.665), 0.02)
}

fn philippines() -> Canvas {
    const YELLOW: Colour = 0xFCD116;
    let sun = (0.29, 0.5);
    let flag = Canvas::horizontal(&[0x0038A8, 0xCE1126])
        .polygon(WHITE, &[(0.0, 0.0), (0.866, 0.5), (0.0, 1.0)])
        .rays(YELLOW, sun, 0.0, 0.17, 8, 0.03)
        .disc(YELLOW, sun, 0.1);
    [(0.07, 0.12), (0.07, 0.88), (0.735, 0.5)]
        .into_iter()
        .fold(flag, |canvas, star| canvas.star(YELLOW, star, 0.055, 0.25))
}

fn ethiopia() -> Canvas {
    const YELLOW: Colour = 0xFCDD09;
    let corner = |number: u8| at_angle(MIDDLE, 0.22, f32::from(number % 5) / 5.0);
    let flag = Canvas::horizontal(&[0x078930, YELLOW, 0xDA121A]).disc(0x0F47AF, MIDDLE, 0.3);
    // A pentagram, drawn in one go: every second corner is the next.
    let star =
        (0..5).fold(flag, |canvas, number| canvas.line(YELLOW, corner(2 * number), corner(2 * number + 2), 0.022));
    (0..5_u8).fold(star, |canvas, number| {
        let turn = f32::from(number) / 5.0 + 0.1;
        canvas.line(YELLOW, at_angle(MIDDLE, 0.12, turn), at_angle(MIDDLE, 0.24, turn), 0.018)
    })
}

fn egypt() -> Canvas {
    const GOLD: Colour = 0xC09300;
    // Half of the eagle; the other half is its mirror image.
    let half: [Point; 11] = [
        (0.0, 0.385),
        (0.02, 0.40),
        (0.03, 0.43),
        (0.06, 0.40),
        (0.11, 0.42),
        (0.10, 0.55),
        (0.07, 0.60),
        (0.03, 0.58),
        (0.06, 0.64),
        (0.05, 0.655),
        (0.0, 0.655),
    ];
    let right = half.map(|(x, y)| (0.75 + x, y));
    let left = half.map(|(x, y)| (0.75 - x, y));
    Canvas::horizontal(&[0xCE1126, WHITE, BLACK])
        .polygon(GOLD, &right)
        .polygon(GOLD, &left)
        .disc(GOLD, (0.755, 0.385), 0.03)
        .polygon(GOLD, &[(0.77, 0.37), (0.80, 0.395), (0.77, 0.405)])
        .rectangle(WHITE, (0.725, 0.46), (0.775, 0.55))
        .rectangle(0xCE1126, (0.73, 0.465), (0.77, 0.49))
        .rectangle(BLACK, (0.73, 0.52), (0.77, 0.545))
}

fn iran() -> Canvas {
    const RED: Colour = 0xDA0000;
    let mut flag = Canvas::horizontal(&[0x239F40, WHITE, RED])
        // Four crescents and a sword.
        .crescent(RED, (0.75, 0.5), 0.13, (0.75, 0.47), 0.115)
        .crescent(RED, (0.72, 0.49), 0.085, (0.745, 0.475), 0.08)
        .crescent(RED, (0.78, 0.49), 0.085, (0.755, 0.475), 0.08)
        .polygon(RED, &[(0.735, 0.42), (0.75, 0.39), (0.765, 0.42), (0.758, 0.62), (0.742, 0.62)])
        .line(RED, (0.725, 0.385), (0.775, 0.385), 0.012);
    // The writing along the stripes, from afar.
    for word in 0..22_u8 {
        let x = (f32::from(word) + 0.5) * RATIO / 22.0;
        for (top, bottom) in [(0.295, 0.333), (0.667, 0.705)] {
            flag = flag
                .rectangle(WHITE, (x - 0.025, top), (x - 0.015, bottom))
                .rectangle(WHITE, (x - 0.005, top), (x + 0.005, bottom))
                .rectangle(WHITE, (x + 0.015, top), (x + 0.025, bottom))
                .rectangle(WHITE, (x - 0.025, bottom - 0.01), (x + 0.025, bottom));
        }
    }
    flag
}

fn congo() -> Canvas {
    const YELLOW: Colour = 0xF7D618;
    Canvas::new(0x007FFF)
        .line(YELLOW, (-0.1, 1.067), (1.6, -0.067), 0.3)
        .line(0xCE1021, (-0.1, 1.067), (1.6, -0.067), 0.22)
        .star(YELLOW, (0.27, 0.27), 0.2, 0.0)
}

#[cfg(test)]
mod tests {
    //! Each flag is a picture, and no two are the same one.
    use super::{countries, draw};
    use crate::country::Country;

    #[test]
    fn the_default_countries_have_flags() {
        for country in Country::populous() {
            assert!(draw(country).unwrap().unwrap().starts_with(b"GIF89a"), "{country}");
        }
        assert!(draw("ZZ".parse().unwrap()).is_none());
    }

    #[test]
    fn no_two_flags_are_the_same() {
        let flags: std::collections::HashSet<_> =
            countries().into_iter().map(|cc| draw(cc).unwrap().unwrap()).collect();
        assert_eq!(flags.len(), countries().len());
    }
}
