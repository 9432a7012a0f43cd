use std::collections::BTreeMap;
use std::net::UdpSocket as StdSocket;
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::*;

/// What a server says of a name that it knows something about; of every other one it says that there is none.
#[derive(Debug, Clone)]
enum Says {
    Addresses(Vec<IpAddr>),
    Fails,
    Nothing,
}

/// A DNS server on this machine.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    /// It ends with this.
    _serving: JoinSet<()>,
}

impl Server {
    fn new(says: &[(&str, Says)]) -> Self {
        let says: BTreeMap<_, _> = says.iter().map(|(n, s)| ((*n).to_owned(), s.clone())).collect();
        let socket = StdSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let port = socket.local_addr().unwrap().port();
        let socket = UdpSocket::from_std(socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        serving.spawn({
            let asked = Arc::clone(&asked);
            async move {
                let mut packet = [0; 512];
                loop {
                    let (size, from) = socket.recv_from(&mut packet).await.unwrap();
                    let question = Message::from_vec(&packet[..size]).unwrap();
                    if let Some(answer) = answer(&question, &says, &asked) {
                        socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
                    }
                }
            }
        });
        Self { port, asked, _serving: serving }
    }

    /// The names that it was asked for, each once, in order.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.dedup();
        asked
    }
}

fn answer(
    question: &Message,
    says: &BTreeMap<String, Says>,
    asked: &Mutex<Vec<String>>,
) -> Option<Message> {
    let query = question.queries[0].clone();
    let name = query.name().to_ascii();
    asked.lock().unwrap().push(name.clone());
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    match says.get(&name) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(Says::Fails) => answer.metadata.response_code = ResponseCode::ServFail,
        Some(Says::Nothing) => return None,
        Some(Says::Addresses(addresses)) => {
            let wanted =
                |address: &&IpAddr| address.is_ipv4() == (query.query_type() == RecordType::A);
            for address in addresses.iter().filter(wanted) {
                let data = RData::from(*address);
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
        }
    }
    answer.add_query(query);
    Some(answer)
}

/// What the servers say of a host, by a resolv.conf with these lines.
async fn ask(host: &str, lines: &str, servers: &[&Server]) -> Result<Vec<IpAddr>, NameError> {
    let text = format!("{lines}\nnameserver 127.0.0.1\n");
    let (config, mut options) = hickory_resolver::system_conf::parse_resolv_conf(text).unwrap();
    let mut named = Vec::new();
    for server in servers {
        let mut one = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
        one.connections[0].port = server.port;
        named.push(one);
    }
    // What a row says nothing of takes as long as this.
    options.timeout = std::time::Duration::from_millis(200);
    let domain = config.domain().cloned();
    let config = ResolverConfig::from_parts(domain, config.search().to_vec(), named);
    asked(host, &config, &options).await
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(address: &str) -> Says {
    Says::Addresses(vec![ip(address)])
}

#[test]
fn a_hosts_file_is_read_as_the_c_library_reads_it() {
    let hosts = "\
        # comment\n\
        127.0.0.1  localhost # lab\n\
        ::1        localhost ip6-localhost\n\
        10.0.0.1   Git.example.com git\n\
        10.0.0.2   git\n\
        10.0.0.1   git\n\
        no.address lost\n\
        10.0.0.3\n\
        10.0.0.4   under_score 1.2.3.4.example\n";
    for (host, addresses) in [
        ("localhost", &["::1", "127.0.0.1"][..]),
        ("LOCALHOST.", &["::1", "127.0.0.1"]),
        ("git.example.com", &["10.0.0.1"]),
        ("git", &["10.0.0.1", "10.0.0.2"]),
        ("under_score", &["10.0.0.4"]),
        ("lab", &[]),
        ("lost", &[]),
        ("example.com", &[]),
        ("a.localhost", &["::1", "127.0.0.1"]),
        ("notlocalhost", &[]),
    ] {
        let addresses: Vec<_> = addresses.iter().map(|text| ip(text)).collect();
        assert_eq!(listed(hosts, host), addresses, "{host}");
    }
    assert_eq!(listed("", "localhost").len(), 2, "a root without the file");
}

#[tokio::test]
async fn names_are_asked_for_in_the_order_of_the_search_list_until_one_is_known() {
    let pod = "search qa.svc.cluster.local svc.cluster.local\noptions ndots:5";
    let (lan, none) = ("search lan", "domain lan");
    for (host, lines, known, names) in [
        ("git", pod, "git.qa.svc.cluster.local.", &["git.qa.svc.cluster.local."][..]),
        (
            "git.ops",
            pod,
            "git.ops.svc.cluster.local.",
            &["git.ops.qa.svc.cluster.local.", "git.ops.svc.cluster.local."],
        ),
        (
            "git.example.com",
            pod,
            "git.example.com.",
            &[
                "git.example.com.qa.svc.cluster.local.",
                "git.example.com.svc.cluster.local.",
                "git.example.com.",
            ],
        ),
        ("git.example.com.", pod, "git.example.com.", &["git.example.com."]),
        ("git.example.com", lan, "git.example.com.", &["git.example.com."]),
        ("git.ops", lan, "git.ops.lan.", &["git.ops.", "git.ops.lan."]),
        ("git", none, "git.lan.", &["git.lan."]),
        ("git_1", lan, "git_1.", &["git_1.lan.", "git_1."]),
    ] {
        let server = Server::new(&[(known, at("10.0.0.7"))]);
        let found = ask(host, lines, &[&server]).await;
        assert_eq!(found.unwrap(), [ip("10.0.0.7")], "{host}");
        assert_eq!(server.asked(), names, "{host}");
    }
}

#[tokio::test]
async fn both_kinds_of_addresses_are_found() {
    let both = Says::Addresses(vec![ip("10.0.0.7"), ip("fd00::7"), ip("10.0.0.8")]);
    let server = Server::new(&[("git.lan.", both)]);
    let found = ask("git", "search lan", &[&server]).await.unwrap();
    assert_eq!(found, [ip("fd00::7"), ip("10.0.0.7"), ip("10.0.0.8")]);
}

#[tokio::test]
async fn what_is_not_known_is_told_from_what_does_not_exist() {
    let lan = "search lan";
    for (says, host, error) in [
        (vec![], "git", "/etc/hosts and DNS know no address of git"),
        // It exists, with records of other kinds.
        (
            vec![("git.", Says::Addresses(vec![]))],
            "git",
            "/etc/hosts and DNS know no address of git",
        ),
        (vec![("git.lan.", Says::Fails)], "git", "the DNS servers gave no answer about git"),
        (vec![("git.", Says::Nothing)], "git", "the DNS servers gave no answer about git"),
        // What comes next in the list could be another host's.
        (
            vec![("git.lan.", Says::Nothing), ("git.", at("10.0.0.7"))],
            "git",
            "the DNS servers gave no answer about git",
        ),
        (vec![], "git..example", "git..example can't be a host's name"),
    ] {
        let server = Server::new(&says);
        let found = ask(host, lan, &[&server]).await;
        assert_eq!(found.unwrap_err().to_string(), error, "{says:?}");
    }
    // A server with an error knows nothing of this name; the next one may be known.
    let server = Server::new(&[("git.lan.", Says::Fails), ("git.", at("10.0.0.7"))]);
    assert_eq!(ask("git", lan, &[&server]).await.unwrap(), [ip("10.0.0.7")]);
}

#[tokio::test]
async fn the_first_server_that_answers_decides() {
    let lan = "search lan";
    let knows = |address| Server::new(&[("git.lan.", at(address))]);
    let (first, second) = (knows("10.0.0.1"), knows("10.0.0.2"));
    assert_eq!(ask("git", lan, &[&first, &second]).await.unwrap(), [ip("10.0.0.1")]);
    assert_eq!(second.asked(), [""; 0]);
    let ignorant = Server::new(&[]);
    assert!(ask("git", lan, &[&ignorant, &second]).await.is_err());
    for says in [Says::Fails, Says::Nothing] {
        let broken = Server::new(&[("git.lan.", says)]);
        assert_eq!(ask("git", lan, &[&broken, &second]).await.unwrap(), [ip("10.0.0.2")]);
    }
}

#[test]
fn only_addresses_of_the_internet_are_public() {
    for private in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "fc00::1",
        "fe80::1",
        "ff02::1",
    ] {
        assert!(!is_public(private.parse().unwrap()), "{private}");
    }
    let public =
        ["1.1.1.1", "100.63.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1", "::ffff:1.1.1.1"];
    for public in public {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
}
