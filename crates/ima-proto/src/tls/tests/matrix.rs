//! Every certificate, shown in both directions.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustls::CertificateError as Fault;

use super::certificates::Expected::{Good, Refused, WrongName};
use super::certificates::rows;
use super::*;
use crate::framing::Channel;

#[test]
fn shown_by_a_server() {
    let root = Authority::root("root");
    let client = identities("a.test", &root.issue(Authority::leaf(&["a.test"])));
    for row in rows(&root) {
        let ends = Ends {
            server: ServerSide::new(identities(row.host, &row.leaf), trusting(&root), PROTOCOL)
                .unwrap(),
            client: ClientSide::new(client.clone(), trusting(&root), PROTOCOL).unwrap(),
        };
        let (server, client) = ends.shake_for(row.host);
        let what = row.what;
        match (row.expected, client) {
            (Good, client) => {
                let (mut client, (mut server, _)) = (client.unwrap(), server.unwrap());
                server.write_all(b"x").unwrap();
                assert_eq!(client.read(&mut [0; 9]).unwrap(), 1, "{what}");
            }
            (WrongName, Err(TlsError::Certificate { fault, .. })) => {
                assert!(
                    matches!(fault, Fault::NotValidForNameContext { .. }),
                    "{what}"
                );
            }
            (Refused(is, _), Err(TlsError::Certificate { fault, .. })) => {
                assert!(is(&fault), "{what}: {fault:?}");
            }
            (_, other) => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn shown_by_a_client() {
    let root = Authority::root("root");
    let server = identities("b.test", &root.issue(Authority::leaf(&["b.test"])));
    for row in rows(&root) {
        let ends = Ends {
            server: ServerSide::new(server.clone(), trusting(&root), PROTOCOL).unwrap(),
            client: ClientSide::new(identities("a.test", &row.leaf), trusting(&root), PROTOCOL)
                .unwrap(),
        };
        let what = row.what;
        // Our side of the handshake is over also where we are refused.
        let (server, heard) = ends.shake_and("b.test", |client| {
            let mut client = client.unwrap();
            client.set_deadline(Instant::now() + Duration::from_secs(10));
            matches!(row.expected, Refused(..)).then(|| client.read(&mut [0; 9]).unwrap_err())
        });
        match (row.expected, server) {
            (Good, server) => {
                let names = server.unwrap().1.names;
                assert!(names.speaks_for(&host(row.host)), "{what}");
            }
            (WrongName, server) => {
                let names = server.unwrap().1.names;
                assert!(!names.speaks_for(&host(row.host)), "{what}");
            }
            (Refused(is, alert), Err(TlsError::Certificate { fault, .. })) => {
                assert!(is(&fault), "{what}: {fault:?}");
                match heard.unwrap().downcast().unwrap() {
                    TlsError::Refused { alert: said, .. } => assert_eq!(said, alert, "{what}"),
                    other => panic!("{what}: {other}"),
                }
            }
            (_, other) => panic!("{what}: {other:?}"),
        }
    }
}
