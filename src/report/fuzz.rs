//! Random reports.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;

fn parts() -> impl Strategy<Value = Parts> {
    let part = prop::sample::select(vec![PartName::Argument, PartName::Result, PartName::Function, PartName::Context]);
    let exit = prop_oneof![
        any::<i32>().prop_map(ExitName::Code),
        any::<String>().prop_map(ExitName::Signal),
        Just(ExitName::Unknown),
        Just(ExitName::Lost),
    ];
    let messages = || prop::collection::vec(any::<String>(), 1..5);
    prop_oneof![
        any::<(String, Option<String>, Option<String>, Option<String>, Option<String>)>().prop_map(
            |(message, location, worker, task, backtrace)| Parts::Panicked {
                message,
                location,
                worker,
                task,
                backtrace
            }
        ),
        (any::<String>(), messages(), any::<Option<String>>()).prop_map(|(type_name, messages, trace)| Parts::Failed {
            type_name,
            messages,
            trace
        }),
        (part.clone(), any::<String>()).prop_map(|(part, message)| Parts::Encode(part, message)),
        (part.clone(), any::<String>()).prop_map(|(part, message)| Parts::Decode(part, message)),
        (any::<(u64, u64)>(), prop::option::of(part)).prop_map(|((size, limit), part)| Parts::TooLarge {
            size,
            limit,
            part
        }),
        prop::sample::select(vec![Parts::Cancelled, Parts::ShutDown, Parts::Abandoned]),
        any::<(Duration, Option<String>)>().prop_map(|(limit, task)| Parts::TimeLimit(limit, task)),
        (any::<String>(), any::<Option<u32>>(), exit, any::<[Option<String>; 3]>()).prop_map(
            |(worker, pid, exit, [function, hint, task])| Parts::WorkerDied { worker, pid, exit, function, hint, task }
        ),
        messages().prop_map(Parts::Broken),
        any::<u32>().prop_map(|limit| Parts::Full(limit.into())),
        any::<(u32, u32, u32)>().prop_map(|(unfinished, total, after)| Parts::Timeout {
            unfinished: unfinished.into(),
            total: total.into(),
            after: Duration::from_millis(after.into()),
        }),
        any::<[String; 3]>().prop_map(|[parameter, requirement, value]| Parts::Build { parameter, requirement, value }),
    ]
}

pub(crate) fn any_report() -> impl Strategy<Value = Report> {
    parts().prop_map(Report)
}

proptest! {
    #![proptest_config(crate::fuzz::cases(300))]

    #[test]
    fn an_error_has_all_the_parts_that_it_was_made_of(report in any_report()) {
        let back = Report::of(&report.clone().into_error());
        prop_assert_eq!(back.0, report.0);
    }
}
