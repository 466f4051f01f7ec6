//! Types whose form for serde is their text: what comes from elsewhere keeps every
//! rule of the grammar, or is refused.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Address, DateTime, Flag, FolderName};

macro_rules! text_form {
    ($($type:ty: $parse:expr;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(&text).map_err(de::Error::custom)
            }
        }
    )*};
}

text_form! {
    Address: Address::parse;
    DateTime: DateTime::parse;
    Flag: str::parse::<Flag>;
    FolderName: str::parse::<FolderName>;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::Entry;

    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
        let written = serde_json::to_string(value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&written).unwrap(), *value);
    }

    #[test]
    fn what_is_written_is_read() {
        comes_back(&Address::parse("Bob@b.test").unwrap());
        comes_back(&"inbox".parse::<FolderName>().unwrap());
        comes_back(&Some(
            "6f0c9a1b2d3e4f50.256".parse::<crate::Token>().unwrap(),
        ));
        let digest = "3b".repeat(32);
        for line in [
            format!("add {digest} 2026-11-22T09:30:02Z 512"),
            format!("flag {digest} +seen -x-1"),
            format!("del {digest}"),
        ] {
            comes_back(&Entry::parse(line.as_bytes()).unwrap());
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        for name in ["../x", ".", "/etc", "a b", "", "-x"] {
            let written = serde_json::to_string(name).unwrap();
            assert!(
                serde_json::from_str::<FolderName>(&written).is_err(),
                "{name}"
            );
        }
        assert!(serde_json::from_str::<Flag>("\"Seen\"").is_err());
        assert!(serde_json::from_str::<Address>("\"bob\"").is_err());
        assert!(serde_json::from_str::<DateTime>("\"today\"").is_err());
    }
}
