//! A server that holds no key: the monitor signs for it.

use std::sync::Arc;

use super::*;
use ima_program::config::ConfigPath;
use ima_program::monitor::{Questions, serve};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm};

const SERVER: &[u8] = b"TLS 1.3, server CertificateVerify\0";
const CLIENT: &[u8] = b"TLS 1.3, client CertificateVerify\0";

fn ask(keys: &Arc<Keys>) -> Questions<Keys> {
    Questions::new(serve(keys, 2, || panic!("nonsense")).unwrap())
}

/// A server without keys, and its monitor's service.
fn side(root: &Authority, identities: Arc<Identities>) -> (ServerSide, Arc<Keys>) {
    let keys = Arc::new(Keys::new(identities, Some(trusting(root))));
    let remote = RemoteIdentities::new(ask(&keys)).unwrap();
    let verifier = PeerVerifier::remote(Arc::clone(&remote));
    let side = ServerSide::new(remote, verifier, PROTOCOL).unwrap();
    (side, keys)
}

fn with_key(root: &Authority, algorithm: &'static SignatureAlgorithm) -> Arc<Identities> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let leaf = root.issue_for(Authority::leaf(&["b.test"]), &key);
    identities("b.test", &leaf)
}

#[test]
fn a_handshake_is_signed_with_any_kind_of_key_and_peers_are_checked() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384, &PKCS_RSA_SHA256] {
        let (server, _) = side(&root, with_key(&root, algorithm));
        for (authority, is_good) in [(&root, true), (&other, false)] {
            let client = authority.issue(Authority::leaf(&["a.test"]));
            let client = identities("a.test", &client);
            let client = ClientSide::new(client, trusting(&root), PROTOCOL).unwrap();
            let ends = Ends {
                server: server.clone(),
                client,
            };
            let (accepted, dialled) = ends.shake();
            assert!(dialled.is_ok(), "{:?}", dialled.err());
            assert_eq!(accepted.is_ok(), is_good);
        }
    }
}

#[test]
fn nothing_is_signed_but_the_server_s_side_of_a_handshake() {
    let root = Authority::root("root");
    let leaf = root.issue(Authority::leaf(&["b.test"]));
    let keys = Arc::new(Keys::new(identities("b.test", &leaf), None));
    let questions = ask(&keys);
    let (reply, files) = questions.ask(&KeyRequest::Shown { known: 0 }, &[]).unwrap();
    assert!(matches!(reply, KeyReply::Shown(1)));
    assert_eq!(files.len(), 1);
    let sign = |state, block, scheme, message: Vec<u8>| {
        let request = KeyRequest::Sign {
            state,
            block,
            scheme,
            message,
        };
        match questions.ask(&request, &[]).unwrap().0 {
            KeyReply::Signature(signature) => {
                assert!(!signature.is_empty());
                true
            }
            KeyReply::Refused => false,
            other => panic!("{other:?}"),
        }
    };
    let message = |padding: usize, context: &[u8], hash: usize| {
        [&vec![b' '; padding][..], context, &vec![7; hash]].concat()
    };
    let scheme = 0x0403;
    assert!(sign(1, 0, scheme, message(64, SERVER, 32)));
    assert!(sign(1, 0, scheme, message(64, SERVER, 48)));
    assert!(!sign(1, 0, scheme, message(64, CLIENT, 32)), "as a sender");
    assert!(!sign(1, 0, scheme, message(63, SERVER, 32)));
    assert!(!sign(1, 0, scheme, message(64, SERVER, 31)));
    assert!(!sign(1, 0, scheme, message(64, SERVER, 4096)));
    assert!(!sign(1, 0, scheme, message(0, b"a message's", 32)));
    assert!(!sign(1, 0, scheme, Vec::new()));
    assert!(
        !sign(1, 0, 0x0807, message(64, SERVER, 32)),
        "another scheme"
    );
    assert!(!sign(1, 1, scheme, message(64, SERVER, 32)), "another key");
    assert!(
        !sign(2, 0, scheme, message(64, SERVER, 32)),
        "another state"
    );
}

#[test]
fn a_renewed_certificate_is_shown_and_the_old_one_still_signs() {
    let root = Authority::root("root");
    let dir = tempfile::tempdir().unwrap();
    let put = |leaf: &Leaf| {
        for (name, text) in [("b.key", &leaf.key_pem), ("b.pem", &leaf.certificate_pem)] {
            write(dir.path(), "new", text);
            std::fs::rename(dir.path().join("new"), dir.path().join(name)).unwrap();
        }
    };
    put(&root.issue(Authority::leaf(&["b.test"])));
    let blocks = [IdentityToml {
        hosts: vec![host("b.test")],
        certificate: ConfigPath::new("b.pem"),
        key: ConfigPath::new("b.key"),
    }];
    let identities = Identities::looking_always(&blocks, dir.path()).unwrap();
    let keys = Arc::new(Keys::new(identities, None));
    let questions = ask(&keys);
    let shown = |known| questions.ask(&KeyRequest::Shown { known }, &[]).unwrap().0;
    assert!(matches!(shown(0), KeyReply::Shown(1)));
    assert!(matches!(shown(1), KeyReply::Same));
    put(&root.issue(Authority::leaf(&["b.test"])));
    // The first file is replaced alone, for a moment, and then makes no pair.
    assert!(matches!(shown(1), KeyReply::Shown(2)));
    assert!(matches!(shown(2), KeyReply::Same));
    let message = [&[b' '; 64][..], SERVER, &[7; 32]].concat();
    for state in [1, 2] {
        let request = KeyRequest::Sign {
            state,
            block: 0,
            scheme: 0x0403,
            message: message.clone(),
        };
        let (reply, _) = questions.ask(&request, &[]).unwrap();
        assert!(matches!(reply, KeyReply::Signature(_)), "{state}");
    }
}
