//! What git, its ssh and its TLS say when they fail, what each text means, and what a person can do. None of them has codes for
//! causes, so their English texts are recognised; `LC_ALL=C` keeps them English.

use sentry_core::forge::ForgeErrorKind;

use ForgeErrorKind::{
    Local, NoCommit, NotFound, OutOfMemory, RateLimited, TooLarge, Unauthorized, Unreachable,
    Unsupported, WrongAnswer,
};

pub(super) const LIMITED: &str = "the server limits our request rate";
pub(super) const NO_MEMORY: &str = "needs more memory than the 192 MiB that git may use";
/// What helps where a commit is gone.
pub(super) const PUSH_AGAIN: &str = "a commit disappears after a force-push; push another one, or deliver the branch's head with `sentry trigger`";

/// One text and its meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording {
    /// What is looked for, in lower case.
    sign: &'static str,
    pub(super) kind: ForgeErrorKind,
    /// What it means, as a clause after the repository.
    pub(super) what: &'static str,
    /// The remedy, where the kind's own is not enough.
    hint: Option<&'static str>,
}

impl Wording {
    /// The meaning of a text; the first row that fits counts.
    pub(super) fn of(lower: &str) -> Option<&'static Self> {
        SSH.iter().chain(GIT).find(|wording| lower.contains(wording.sign))
    }

    /// What a person can do.
    pub(super) fn hint(&self) -> Option<&'static str> {
        self.hint.or(match self.kind {
            Unauthorized => {
                Some("check the forge's token or ssh key and that it may read the repository")
            }
            NotFound => Some("check the repository's URL"),
            NoCommit => Some(PUSH_AGAIN),
            OutOfMemory => Some("if the commit has an object that large, push one without it; otherwise give the process more memory"),
            TooLarge => Some("raise the limit, or keep the manifests in a smaller repository"),
            WrongAnswer => Some("configure the repository's new address"),
            _ => None,
        })
    }
}

const fn row(
    sign: &'static str,
    kind: ForgeErrorKind,
    what: &'static str,
    hint: Option<&'static str>,
) -> Wording {
    Wording { sign, kind, what, hint }
}

const OLD: &str = "have the server offer what OpenSSH 9 accepts; older algorithms can be broken";
const SSH_KEY: &str = "name a readable private key without a passphrase as `ssh.key_file`; `sentry validate` checks it";
const REACH: &str = "check the URL's host and port, and that they are reachable from here";
const TRUST: &str = "put the CA's certificate, or the server's own, into a PEM file and set `ca_file` to it; if it is there, check whether it expired or is for another name";
const RENEW: &str = "renew it; if it is valid, correct this machine's clock";
const RENAME: &str = "use a host name that the certificate has, or issue one for this name";
const PROXY: &str = "check `proxy`, or HTTPS_PROXY and NO_PROXY, and that the proxy runs";
const ADD_HOST: &str = "verify the server's fingerprint, then add its line to the file set as `ssh.known_hosts`: ssh-keyscan -p PORT HOST";

/// What git's client says of a connection to another host than the repository's.
pub(super) const NO_PROXY_THERE: Wording =
    row("", Unreachable, "the proxy can't be reached", Some(PROXY));

/// What ssh says before git's own "Could not read from remote repository": texts of OpenSSH 9.
const SSH: &[Wording] = &[
    row("cannot run ssh", Local, "can't run ssh", Some("install ssh (package openssh-client)")),
    row(
        "no user exists for uid",
        Local,
        "ssh refuses to run: this account has no name",
        Some("give the user id a line in /etc/passwd, or run as a user that has one"),
    ),
    row(
        "bad permissions",
        Local,
        "others can access the ssh key file, so ssh ignores it",
        Some("remove their access: chmod 600 FILE"),
    ),
    row("not accessible: no such file", Local, "the ssh key file does not exist", Some(SSH_KEY)),
    row(
        "not accessible: permission denied",
        Local,
        "the ssh key file can't be read",
        Some(SSH_KEY),
    ),
    row("incorrect passphrase", Local, "the ssh key has a passphrase", Some(SSH_KEY)),
    row("load key", Local, "the ssh key file has no key that ssh can read", Some(SSH_KEY)),
    row(
        "identification has changed",
        Unauthorized,
        "the server's ssh host key differs from the one in the known hosts file",
        Some(
            "if the server's key really changed, replace the old one; otherwise this may be a man-in-the-middle attack",
        ),
    ),
    row(
        "host key for",
        Unauthorized,
        "the server's ssh host key differs from the one in the known hosts file",
        Some(ADD_HOST),
    ),
    row(
        "host key is known for",
        Unauthorized,
        "the server's ssh host key is not in the known hosts file",
        Some(ADD_HOST),
    ),
    row(
        "host key verification failed",
        Unauthorized,
        "the server's ssh host key is not in the known hosts file",
        Some(ADD_HOST),
    ),
    row(
        "no matching host key type",
        Unreachable,
        "has no ssh host key type in common with us",
        Some(OLD),
    ),
    row(
        "no matching key exchange",
        Unreachable,
        "has no ssh key exchange in common with us",
        Some(OLD),
    ),
    row("no matching cipher", Unreachable, "has no ssh cipher in common with us", Some(OLD)),
    row("no matching mac", Unreachable, "has no ssh MAC in common with us", Some(OLD)),
    row(
        "no mutual signature",
        Unauthorized,
        "accepts no signature that our ssh key can make",
        Some("use an ed25519 key"),
    ),
    row("too many authentication failures", Unauthorized, "the ssh key is refused", Some(ALLOW)),
    row("permission denied (publickey", Unauthorized, "the ssh key is refused", Some(ALLOW)),
    row(
        "permission denied (",
        Unauthorized,
        "the server accepts no ssh key for this user",
        Some(
            "have the server accept public keys, or correct the user in the URL; passwords are not supported",
        ),
    ),
    row(
        "kex_exchange_identification",
        Unreachable,
        "what answers there is not an ssh server, or it closes the connection",
        Some(REACH),
    ),
    row(
        "command not found",
        Unsupported,
        "the server has no git",
        Some("install git there, or use another server"),
    ),
];

const ALLOW: &str = "add this key on the server for the user in the URL, as a deploy key with read access; check the user's name, too";

/// What git says: texts of git 2.39 to 2.47, with curl over GnuTLS and OpenSSL.
const GIT: &[Wording] = &[
    row("out of memory", OutOfMemory, NO_MEMORY, None),
    row("cannot allocate memory", OutOfMemory, NO_MEMORY, None),
    // The system ends what takes more than a container or a machine has.
    row(
        "died of signal 9",
        OutOfMemory,
        "was killed, as happens when the system runs out of memory",
        None,
    ),
    row("file too large", TooLarge, "is larger than the limit for a fetch", None),
    row("died of signal 25", TooLarge, "is larger than the limit for a fetch", None),
    row("maximum allowed tree depth", TooLarge, "has directories nested too deeply", None),
    row(
        "no space left on device",
        Local,
        "the disk is full",
        Some("make room in the temporary directory"),
    ),
    row(
        "response 407 from proxy",
        Unreachable,
        "the proxy requires a user and password, or refuses the given ones",
        Some("write them into the proxy's URL: http://USER:PASSWORD@HOST:PORT"),
    ),
    row(
        "connect tunnel failed, response 407",
        Unreachable,
        "the proxy requires a user and password, or refuses the given ones",
        Some("write them into the proxy's URL: http://USER:PASSWORD@HOST:PORT"),
    ),
    row(
        "from proxy after connect",
        Unreachable,
        "the proxy refuses to connect there",
        Some(
            "have the proxy allow this host and port, or bypass it for the host: `no_proxy` or NO_PROXY",
        ),
    ),
    row(
        "connect tunnel failed",
        Unreachable,
        "the proxy refuses to connect there",
        Some(
            "have the proxy allow this host and port, or bypass it for the host: `no_proxy` or NO_PROXY",
        ),
    ),
    row("resolve proxy", Unreachable, "the proxy's name can't be resolved", Some(PROXY)),
    row("proxy connect aborted", Unreachable, "the proxy closed the connection", Some(PROXY)),
    row("returned error: 429", RateLimited, LIMITED, None),
    row("returned error: 401", Unauthorized, "the token is refused", None),
    row("returned error: 403", Unauthorized, "the token may not read this", None),
    row(
        "returned error: 407",
        Unreachable,
        "the proxy requires a user and password, or refuses the given ones",
        Some(PROXY),
    ),
    row("authentication failed", Unauthorized, "the token is refused", None),
    row("could not read username", Unauthorized, "the server requires a token", None),
    row("could not read password", Unauthorized, "the server requires a token", None),
    row("terminal prompts disabled", Unauthorized, "the server requires a token", None),
    row("access denied", Unauthorized, "access is denied", None),
    row("returned error: 404", NotFound, "does not exist, or the token may not see it", None),
    row("returned error: 410", NotFound, "no longer exists", None),
    row(
        "returned error: 3",
        WrongAnswer,
        "is redirected to a place that Sentry does not follow",
        None,
    ),
    row("returned error: 5", Unreachable, "the server has an internal error", None),
    row("not our ref", NoCommit, "the server does not have the commit (anymore)", None),
    row("unadvertised object", NoCommit, "the server does not serve the commit", None),
    row(
        "does not appear to be a git repository",
        NotFound,
        "is not a git repository, or does not exist",
        None,
    ),
    row("repository not found", NotFound, "does not exist, or the token may not see it", None),
    // How git words a 404 over HTTP.
    row("' not found", NotFound, "does not exist, or the token may not see it", None),
    row(
        "dubious ownership",
        Local,
        "belongs to another user of this machine",
        Some("give the directory to the account that runs this"),
    ),
    row("is this a git repository", WrongAnswer, "what answers there is not a git server", None),
    row("bad line length", WrongAnswer, "the answer is not in git's protocol", None),
    row("protocol error", WrongAnswer, "the answer is not in git's protocol", None),
    row("invalid index-pack output", WrongAnswer, "the answer has no complete pack", None),
    // What git makes of any page with status 200.
    row("dumb http transport", WrongAnswer, "what answers there is not a git server", None),
    row("transport 'file' not allowed", Unsupported, "this transport is not allowed", None),
    row("unsupported ssl backend", Local, "git does not support TLS", None),
    row(
        "certificate has expired",
        Unreachable,
        "the server's certificate has expired",
        Some(RENEW),
    ),
    row("not yet valid", Unreachable, "the server's certificate is not valid yet", Some(RENEW)),
    row("not yet activated", Unreachable, "the server's certificate is not valid yet", Some(RENEW)),
    row(
        "no alternative certificate subject name",
        Unreachable,
        "the server's certificate is for other names",
        Some(RENAME),
    ),
    row(
        "certificate subject name",
        Unreachable,
        "the server's certificate is for other names",
        Some(RENAME),
    ),
    row(
        "does not match target host",
        Unreachable,
        "the server's certificate is for other names",
        Some(RENAME),
    ),
    row("cafile", Unreachable, "the server's certificate is not trusted", Some(TRUST)),
    row("certificate", Unreachable, "the server's certificate is not trusted", Some(TRUST)),
    row("wrong version number", Unreachable, "what answers there does not speak TLS", Some(REACH)),
    row("unexpected tls packet", Unreachable, "what answers there does not speak TLS", Some(REACH)),
    row(
        "handshake failed",
        Unreachable,
        "has no TLS version or cipher in common with us",
        Some("have the server support TLS 1.2 or 1.3"),
    ),
    row("could not resolve host", Unreachable, "the host name can't be resolved", Some(REACH)),
    row("no route to host", Unreachable, "can't be reached", Some(REACH)),
    row("network is unreachable", Unreachable, "can't be reached", Some(REACH)),
    row("failed to connect", Unreachable, "can't be reached", Some(REACH)),
    row("couldn't connect to server", Unreachable, "can't be reached", Some(REACH)),
    row("could not connect to server", Unreachable, "can't be reached", Some(REACH)),
    row("connection refused", Unreachable, "can't be reached", Some(REACH)),
    row("timed out", Unreachable, "did not answer in time", Some(REACH)),
    row("timeout", Unreachable, "did not answer in time", None),
    row("too slow", Unreachable, "answers too slowly", None),
];
