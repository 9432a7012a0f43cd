//! Where what a pusher chooses becomes code, followed through params.

use super::{Scene, prepared};
use crate::manifest::Decision;

const CHOSEN: &str = "{{ source_branch }}";

/// A run with the given params and spec.
fn run(params: &str, spec: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{name: r}}\n\
         spec: {{params: [{params}], {spec}}}\n"
    )
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: tekton.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

const B: &str = "{name: b, value: '{{ source_branch }}'}";
/// A pipeline with one task, which is given `b` as its own `b`.
const ONE: &str = "pipelineSpec: {params: [{name: b}], tasks: [{name: t, params: [{name: b, value: $(params.b)}], taskSpec: SPEC}]}";

/// Each case: the text, and whether it says that the branch becomes code.
fn noted(text: &str) -> bool {
    let notes = prepared(text).notes;
    notes.iter().any(|note| note.contains("becomes code"))
}

#[test]
fn a_value_is_followed_through_params_into_programs() {
    let step =
        |step: &str| run(B, &ONE.replace("SPEC", &format!("{{steps: [{{image: x, {step}}}]}}")));
    let task = |spec: &str| run(B, &ONE.replace("SPEC", spec));
    for (text, want) in [
        (step("script: 'echo $(params.b)'"), true),
        (step("script: 'echo $(params[\"b\"])'"), true),
        (step("script: \"echo $(params['b'])\""), true),
        (step("script: 'echo $(params.b[*]) $(params.b[0])'"), true),
        (step("script: 'echo $(inputs.params.b)'"), true),
        (step("script: 'echo $( params.b )'"), true),
        (step("script: 'echo $(params.b.x)'"), true),
        (run("{name: o, value: {k: '{{ sender }}', l: x}}", "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{script: '$(params.o[*])'}]}}]}"), true),
        (object("Pipeline", "p", "{params: [{name: b, default: '{{ sender }}'}], tasks: [{name: t, taskSpec: {steps: [{script: $(params.b)}]}}]}"), true),
        (step("command: [sh, -c], args: ['echo $(params.b)']"), true),
        (step("command: [sh, -c, 'echo $(params.b)']"), true),
        (step("args: [-c, 'echo $(params.b)']"), true),
        (step("command: [$(params.b)]"), true),
        (step("command: [sh, -c], args: ['echo {{ source_branch }}']"), true),
        (step("command: [sh, -c], args: ['echo $(B)'], env: [{name: B, value: $(params.b)}]"), true),
        (step("command: [sh, -c], args: ['echo $(C)'], env: [{name: B, value: $(params.b)}, {name: C, value: x-$(B)}]"), true),
        (task("{sidecars: [{script: $(params.b)}]}"), true),
        (task("{stepTemplate: {command: [sh, -c]}, steps: [{args: ['echo $(params.b)']}]}"), true),
        (task("{stepTemplate: {env: [{name: B, value: $(params.b)}]}, steps: [{command: [sh, -c, 'echo $(B)']}]}"), true),
        (task("{params: [{name: c, default: $(params.b)}], steps: [{script: $(params.c)}]}"), true),
        (run("", "pipelineSpec: {params: [{name: b, default: '{{ sender }}'}], tasks: [{name: t, taskSpec: {steps: [{script: $(params.b)}]}}]}"), true),
        // Params of a run reach specs that stand in it.
        (run(B, "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{script: $(params.b)}]}}]}"), true),
        (run(B, "pipelineSpec: {finally: [{name: t, taskSpec: {steps: [{script: $(params.b)}]}}]}"), true),
        (run(B, "pipelineSpec: {tasks: [{name: t, matrix: {params: [{name: c, value: [$(params.b)]}]}, taskSpec: {steps: [{script: $(params.c)}]}}]}"), true),
        (run(B, "pipelineSpec: {tasks: [{name: t, matrix: {include: [{name: i, params: [{name: c, value: $(params.b)}]}]}, taskSpec: {steps: [{script: $(params.c)}]}}]}"), true),
        (run("{name: o, value: {k: '{{ sender }}', l: x}}", "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{script: $(params.o.k)}]}}]}"), true),
        (run("{name: o, value: [x, '{{ sender }}']}", "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{script: '$(params.o[*])'}]}}]}"), true),
        (run(B, "pipelineSpec: {tasks: [{name: t, pipelineSpec: {tasks: [{name: u, taskSpec: {steps: [{script: $(params.b)}]}}]}}]}"), true),
        (run(B, "taskSpec: {steps: [{script: $(params.b)}]}").replace("PipelineRun", "TaskRun"), true),
        // Through references.
        (run(B, "pipelineRef: {name: p}") + &object("Pipeline", "p", "{params: [{name: b}], tasks: [{name: t, taskRef: {name: t}, params: [{name: c, value: x$(params.b)}]}]}") + &object("Task", "t", "{params: [{name: c}], steps: [{script: $(params.c)}]}"), true),
        (run(B, "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{ref: {name: s}, params: [{name: c, value: $(params.b)}]}]}}]}") + &object("StepAction", "s", "{params: [{name: c}], script: $(params.c)}"), true),
        (object("StepAction", "s", "{params: [{name: c, default: '{{ sender }}'}], script: $(params.c)}"), true),
        (object("Task", "t", "{params: [{name: c, default: '{{ sender }}'}], steps: [{script: $(params.c)}]}"), true),
        (object("Task", "t", "{inputs: {params: [{name: c, default: '{{ sender }}'}]}, steps: [{script: $(inputs.params.c)}]}").replace("v1\n", "v1beta1\n"), true),
        ("apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: j-}\nspec: {template: {spec: {containers: [{command: [sh, -c, 'echo {{ sender }}']}]}}}\n".to_owned(), true),
        // Values that stay values.
        (step("script: 'echo \"$B\"', env: [{name: B, value: $(params.b)}]"), false),
        (step("script: 'echo $(B)', env: [{name: B, value: $(params.b)}]"), false),
        (step("script: 'echo $(params.bb) $(params.x.b) $(tasks.b.results.b) params.b'"), false),
        (step("command: [git, checkout], args: [$(params.b)]"), false),
        (step("command: [sh, -c, 'echo \"$1\"', --, $(params.b)]"), false),
        (step("image: $(params.b), workingDir: $(params.b), script: x"), false),
        (task("{params: [{name: b}], steps: [{script: 'echo $(params.c)'}]}"), false),
        (run("{name: o, value: {k: '{{ sender }}', l: x}}", "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{script: $(params.o.l)}]}}]}"), false),
        (run(B, "pipelineSpec: {tasks: [{name: t, params: [{name: b, value: main}], taskSpec: {steps: [{script: $(params.b)}]}}]}"), false),
        (run("{name: b, value: '{{ revision }}'}", "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{script: $(params.b)}]}}]}"), false),
        (run(B, "pipelineSpec: {tasks: [{name: t, taskSpec: {steps: [{ref: {name: s}}]}}]}") + &object("StepAction", "s", "{script: $(params.b)}"), false),
    ] {
        assert_eq!(noted(&text), want, "{text}\n{:?}", prepared(&text));
    }
}

#[test]
fn the_note_says_how_the_value_got_there_once_and_advises_the_environment_alone() {
    let text = run(B, "pipelineRef: {name: p}")
        + &object(
            "Pipeline",
            "p",
            "{params: [{name: b}], tasks: [{name: x, taskRef: {name: t}, params: [{name: c, value: $(params.b)}]}, {name: y, taskRef: {name: t}, params: [{name: c, value: $(params.b)}]}]}",
        )
        + &object(
            "Task",
            "t",
            "{params: [{name: c}], steps: [{name: build, script: 'echo $(params.c) {{ source_branch }}'}]}",
        );
    let notes = prepared(&text).notes;
    let notes: Vec<_> = notes.iter().filter(|note| note.contains("becomes code")).collect();
    assert_eq!(notes.len(), 2, "{notes:#?}");
    assert!(notes[0].starts_with("a.yaml:1: `{{ source_branch }}`, through the param c, becomes code in the `script` of the step build of the Task t: "), "{}", notes[0]);
    assert!(notes[1].contains("`{{ source_branch }}` becomes code in"), "{}", notes[1]);
    assert!(notes.iter().all(|note| note.contains("pass it through `env`")), "{notes:#?}");
    assert!(notes.iter().all(|note| !note.contains("`params`")), "{notes:#?}");
}

#[test]
fn an_expression_of_tektons_that_a_pusher_could_write_into_is_refused() {
    let when = "when: [{cel: \"'CHOSEN' == 'main'\"}]";
    let task = format!("pipelineSpec: {{tasks: [{{name: t, {when}, taskSpec: {{steps: []}}}}]}}");
    let step = format!("pipelineSpec: {{tasks: [{{name: t, taskSpec: {{steps: [{{{when}}}]}}}}]}}");
    let tree = run(B, "pipelineRef: {name: p}")
        + &object(
            "Pipeline",
            "p",
            &format!("{{tasks: [{{name: t, {when}, taskSpec: {{steps: []}}}}]}}"),
        );
    for text in [run(B, &task), run(B, &step), run(B, &task.replace("tasks:", "finally:")), tree] {
        for chosen in [CHOSEN, "$(params.b)", "x-$(params['b'])"] {
            let text = text.replace("CHOSEN", &chosen.replace('\'', "\\\""));
            for scene in [Scene::default(), Scene { sender: None, ..Scene::default() }] {
                let set = scene.prepare(&text);
                let run = &set.decisions[0];
                assert_eq!(run.decision, Decision::Refuse, "{text}");
                assert!(run.reason.contains("`input`, `operator` and `values`"), "{}", run.reason);
                assert!(!set.objects.iter().any(|object| object.is_run()), "{text}");
            }
        }
        for value in ["{{ revision }}", "$(params.c)", "x"] {
            let set = prepared(&text.replace("CHOSEN", value));
            assert_eq!(set.decisions[0].decision, Decision::Run, "{}", set.decisions[0].reason);
        }
    }
    let values = "when: [{input: '{{ source_branch }}', operator: in, values: ['{{ sender }}', $(params.b)]}]";
    let text = run(B, &task.replace(when, values));
    assert_eq!(prepared(&text).decisions[0].decision, Decision::Run);
}

#[test]
fn an_expression_is_refused_however_much_there_is_to_note() {
    let steps: String = (0..120).map(|n| format!("{{name: s{n}, script: $(params.b)}},")).collect();
    let when = "when: [{cel: \"$(params.b) == 'x'\"}]";
    let text = run(
        B,
        &format!(
            "pipelineSpec: {{tasks: [{{name: t, taskSpec: {{steps: [{steps}]}}}}, {{name: u, {when}, taskSpec: {{steps: []}}}}]}}"
        ),
    );
    assert_eq!(prepared(&text).decisions[0].decision, Decision::Refuse);
}

#[test]
fn a_tree_with_more_to_follow_than_a_plan_may_hold_is_refused() {
    let tasks = "{name: t, taskRef: {name: t}},".repeat(900);
    let text = run(B, &format!("pipelineSpec: {{tasks: [{tasks}]}}"))
        + &object("Task", "t", &format!("{{steps: [{{script: {}}}]}}", "x".repeat(900_000)));
    let set = prepared(&text);
    assert_eq!(set.decisions[0].decision, Decision::Refuse);
    let nested = |depth: usize| {
        let step = "tasks: [{name: t, taskSpec: {steps: [{script: '{{ sender }}'}]}}]";
        let open = "pipelineSpec: {tasks: [{name: t, ".repeat(depth);
        run("", &format!("{open}pipelineSpec: {{{step}}}{}", "}]}".repeat(depth)))
    };
    assert!(noted(&nested(8)) && prepared(&nested(8)).decisions[0].decision == Decision::Run);
    assert_eq!(prepared(&nested(9)).decisions[0].decision, Decision::Refuse);
    let endless = object(
        "Pipeline",
        "p",
        "{tasks: [{name: t, pipelineRef: {name: p}, params: [{name: b, value: '{{ sender }}'}]}]}",
    );
    assert_eq!(prepared(&endless).decisions[0].decision, Decision::Refuse);
}
