//! What went wrong, from all that kubectl writes to stderr. Pure; the texts are those of kubectl 1.20 and 1.32.

/// What an error of kubectl's begins with. The last ones come without `error: ` where there are several errors (kubectl,
/// `pkg/cmd/util/helpers.go`: `checkErr`, `MultipleErrors`).
const STARTS: &[&str] = &[
    "Error from server",
    "error: ",
    "Error in configuration: ",
    "Unable to connect to the server",
    "The connection to the server ",
    "Server returned an unexpected response",
    "The request is invalid",
    "Apply failed with ",
    "Operation cannot be fulfilled on ",
    "resource mapping not found",
    "unable to recognize ",
    "error when ",
    "error validating ",
    "Get \"",
    "Post \"",
    "Patch \"",
];

/// `The Task "t" is invalid: …`.
pub(super) fn is_invalid(line: &str) -> bool {
    let named = |line: &str| line.starts_with("The ") && line.contains("\" is invalid");
    named(line) || line.starts_with("The request is invalid")
}

fn starts_an_error(line: &str) -> bool {
    STARTS.iter().any(|start| line.starts_with(start)) || is_invalid(line)
}

/// True for a line of kubectl's own log, whose header is `E1129 12:00:00.000000 7 memcache.go:265] `
/// (klog, `formatHeader`).
fn is_logged(line: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((head, _)) = line.split_once("] ") else { return false };
    let mut words = head.split_whitespace();
    let (Some(day), Some(time), Some(thread), Some(place), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let Some((severity, day)) = day.split_at_checked(1) else { return false };
    let line = place.rsplit_once(".go:").map(|(_, line)| line);
    ["I", "W", "E", "F"].contains(&severity)
        && day.len() == 4
        && digits(day)
        && time.split(['.', ':']).all(digits)
        && digits(thread)
        && line.is_some_and(digits)
}

/// What kubectl wrote without its log and its warnings. A logged value over several lines goes from `=<` to ` >`.
fn without_noise(stderr: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in stderr.lines().filter(|line| !line.trim().is_empty()) {
        if inside {
            inside = !line.starts_with(" >");
        } else if is_logged(line) {
            inside = line.ends_with("=<");
        } else if !line.starts_with("Warning:") {
            lines.push(line);
        }
    }
    lines
}

/// The errors in kubectl's stderr, one text each: without its log, its warnings, and what a credential plugin said
/// before. A text may go over several lines. Where nothing looks like an error, all that was said is one.
pub(super) fn errors(stderr: &str) -> Vec<String> {
    let mut lines = without_noise(stderr);
    if lines.is_empty() {
        lines.extend(stderr.lines().rfind(|line| is_logged(line)));
    }
    let first = lines.iter().position(|line| starts_an_error(line)).unwrap_or(0);
    let mut errors: Vec<String> = Vec::new();
    for line in &lines[first..] {
        match errors.last_mut() {
            Some(last) if !starts_an_error(line) => {
                last.push(' ');
                last.push_str(line.trim_start_matches(['*', ' ', '\t']));
            }
            _ => errors.push(line.trim().to_owned()),
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is no error: kubectl's own log in its old and its structured form, at every severity, and warnings.
    const NOISE: &[&str] = &[
        "E1129 12:00:00.000000    4711 memcache.go:265] couldn't get resource list for metrics.k8s.io/v1beta1: the server is currently unable to handle the request",
        "E1129 12:00:00.123456       7 memcache.go:265] \"Unhandled Error\" err=\"couldn't get current server API group list: Get \\\"https://h/api?timeout=32s\\\": EOF\"",
        "E1129 12:00:00.000000       1 reflector.go:12] \"Failed\" err=<\n\terror: You must be logged in to the server\n\tError from server (Forbidden): no\n >",
        "W1129 12:00:00.000000   12345 warnings.go:70] tekton.dev/v1beta1 Task is deprecated",
        "I1129 12:00:00.000000      10 request.go:655] Throttling request took 1.05s, request: GET:https://h/apis",
        "I1129 12:00:00.000000      10 request.go:668] Waited for 1.1s due to client-side throttling, not priority and fairness",
        "F1129 12:00:00.000000      10 helpers.go:114] error: x",
        "Warning: would violate PodSecurity \"restricted:latest\"",
        "Warning: resource tasks/t is missing the annotation",
    ];
    /// What a credential plugin or a wrapper says before kubectl's own error.
    const CHATTER: &[&str] = &[
        "Please visit https://login.example.com/device and enter the code",
        "WARNING: the token expires soon",
        "error getting token: exit status 2",
        "ERROR: (gcloud.config.config-helper) There was a problem",
    ];
    const ERRORS: &[&str] = &[
        "Error from server (Forbidden): error when creating \"STDIN\": pods \"p\" is forbidden: exceeded quota: q",
        "Error from server: error when creating \"STDIN\": admission webhook \"w\" denied the request: no",
        "The PipelineRun \"r\" is invalid: spec.x: Invalid value: 1",
        "The Task \"t\" is invalid: \n* spec.a: Required value\n* spec.b: Required value",
        "error: You must be logged in to the server (Unauthorized)",
        "error: Apply failed with 1 conflict: conflict with \"m\": .spec\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:",
        "Unable to connect to the server: getting credentials: exec: executable aws failed with exit code 1",
        "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
        "resource mapping not found for name: \"x\" namespace: \"\" from \"STDIN\": no matches for kind \"K\" in version \"V\"\nensure CRDs are installed first",
        "error when creating \"STDIN\": Post \"http://h/api\": EOF",
    ];

    #[test]
    fn whatever_kubectl_logs_or_a_plugin_says_around_them_the_errors_are_the_same() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut cases = 0;
        for _ in 0..2_000 {
            let mut wanted = Vec::new();
            let mut clean = String::new();
            let mut noisy: Vec<String> = Vec::new();
            if random.bool() {
                noisy.push(random.choice(CHATTER).unwrap().to_string());
            }
            for _ in 0..random.usize(1..4) {
                let error = random.choice(ERRORS).unwrap();
                wanted.push(error);
                clean.push_str(error);
                clean.push('\n');
                for line in error.lines() {
                    while random.u8(..3) == 0 {
                        noisy.push(random.choice(NOISE).unwrap().to_string());
                    }
                    noisy.push(line.to_owned());
                }
            }
            noisy.push(random.choice(NOISE).unwrap().to_string());
            let noisy = noisy.join("\n") + "\n";
            assert_eq!(errors(&noisy), errors(&clean), "{noisy}");
            assert_eq!(errors(&noisy).len(), wanted.len(), "{noisy}");
            cases += 1;
        }
        assert_eq!(cases, 2_000);
    }

    #[test]
    fn a_line_of_the_log_is_known_by_each_part_of_its_header() {
        assert!(is_logged("E1129 12:00:00.000000 7 memcache.go:265] x"));
        for other in [
            "X1129 12:00:00.000000 7 memcache.go:265] x",
            "E112 12:00:00.000000 7 memcache.go:265] x",
            "E11a9 12:00:00.000000 7 memcache.go:265] x",
            "E1129 12:00:0x.000000 7 memcache.go:265] x",
            "E1129 12::00.000000 7 memcache.go:265] x",
            "E1129 12:00:00.000000 7a memcache.go:265] x",
            "E1129 12:00:00.000000 7 memcache.rs:265] x",
            "E1129 12:00:00.000000 7 memcache.go:x] x",
            "E1129 12:00:00.000000 7 memcache.go:265 more] x",
            "E1129 12:00:00.000000 7] x",
            "E1129 12:00:00.000000 7 memcache.go:265 x",
        ] {
            assert!(!is_logged(other), "{other}");
        }
    }

    #[test]
    fn where_there_is_only_noise_the_last_of_it_is_better_than_nothing() {
        assert_eq!(errors(&NOISE[..2].join("\n")), [NOISE[1]]);
        assert_eq!(errors("Warning: old\n"), [""; 0]);
        assert_eq!(errors("Segmentation fault\n"), ["Segmentation fault"]);
    }
}
