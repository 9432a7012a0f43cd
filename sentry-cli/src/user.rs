//! Who gives a command.

use std::fs;

/// The name of the user whose process this is: as this machine's list of users has it (passwd(5)), else the user's number.
pub(crate) fn name() -> String {
    let id = rustix::process::getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    named(&users, id).map_or_else(|| format!("uid {id}"), ToOwned::to_owned)
}

fn named(users: &str, id: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, user) = (fields.next()?, fields.nth(1)?);
        (user.parse() == Ok(id) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_called_as_the_machine_calls_the_number() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\n# people\n\nada:x:1000:7:Ada:/:/bin/sh\n:x:8:8::/:\n";
        assert_eq!(named(users, 1000), Some("ada"));
        assert_eq!(named(users, 0), Some("root"));
        assert_eq!((named(users, 7), named(users, 8), named("", 0)), (None, None, None));
    }
}
