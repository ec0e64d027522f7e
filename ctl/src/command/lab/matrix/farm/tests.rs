use super::super::table::tests::matrix;
use super::*;

fn farm<'a>(interrupt: &'a Interrupt, names: &[&'a str]) -> Farm<'a> {
    let matrix = Matrix::new(matrix().plan, None, &["7.3".to_owned()]);
    let guests = vec![Vm::new(["true"])];
    Farm::new(matrix, guests, names.to_vec(), None, interrupt)
}

fn death(cause: Cause) -> Result<::vm::Outcome, Error> {
    let console = vec!["much".to_owned()];
    Err(Error::Death(Death { cause, console }))
}

#[test]
fn an_experiment_that_takes_the_kernel_down_is_violated_and_the_rest_goes_on() {
    let interrupt = Interrupt::watch().unwrap();
    let mut farm = farm(&interrupt, &["a", "b", "c"]);
    let done = took_down(&Column::new("7.3"), "a", &panicked());
    farm.done(
        0,
        "",
        &Outcome {
            verdict: Verdict::Holds,
            ..done
        },
    )
    .unwrap();
    farm.guests[0].running = Some("b".to_owned());
    let line = "Kernel panic".to_owned();
    let rest = farm.ended(0, death(Cause::Panicked { line }));
    assert_eq!(rest, ["c"]);
    let cell = farm.matrix.kernels[0].cell("b").unwrap();
    assert_eq!(cell.verdict, Verdict::Violated);
    assert!(
        cell.reason
            .as_ref()
            .unwrap()
            .contains("the guest's kernel died: Kernel panic")
    );
    assert_eq!(farm.failed, None);
}

fn panicked() -> Death {
    Death {
        cause: Cause::Panicked {
            line: "x".to_owned(),
        },
        console: Vec::new(),
    }
}

#[test]
fn a_signal_that_a_guest_took_is_for_all() {
    let interrupt = Interrupt::watch().unwrap();
    let mut farm = farm(&interrupt, &["a"]);
    let _ = farm.ended(0, death(Cause::Interrupted { signal: 2 }));
    assert!(interrupt.is_raised());
}

#[test]
fn a_machine_that_fails_is_no_answer() {
    let interrupt = Interrupt::watch().unwrap();
    for (result, words) in [
        (death(Cause::TimedOut { limit_s: 9 }), "after 9 s, at b"),
        (
            death(Cause::BeforeInit {
                detail: "x".to_owned(),
            }),
            "before its init spoke",
        ),
        (
            Err(Error::NoKernel {
                spec: "99".to_owned(),
                reason: "none".to_owned(),
            }),
            "find a kernel for `99`",
        ),
    ] {
        let mut farm = farm(&interrupt, &["a", "b"]);
        farm.guests[0].running = Some("b".to_owned());
        assert!(farm.ended(0, result).is_empty());
        let why = farm.matrix.kernels[0].failed.clone().unwrap();
        assert!(why.contains(words), "{why}");
        assert_eq!(farm.failed, Some(Failed::Harness));
    }
}

#[test]
fn the_guest_is_told_everything() {
    let mut matrix = matrix();
    matrix.plan.seed = 7;
    matrix.plan.judged_as = Some("7.2".to_owned());
    let words = command(&matrix, &["a", "b"]).join(" ");
    assert_eq!(
        words,
        "bvecctl --json lab run --dangerous --announce --repeat 1 --seed 7 --judge-as 7.2 a b"
    );
}
