//! Why a request cannot be taken, in the words that Python knows.

/// A request that is not regular.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// More bytes than allowed, as it came or inflated.
    TooLarge,
    /// No space was free for so long that it has to come back.
    Full,
    /// It took longer than it may.
    Late,
    /// Its encoding is none that is offered; the text is what it says.
    Encoding(String),
    /// It is not what its encoding or its framing says.
    Corrupt(String),
    /// It is no request of its signal.
    Malformed(String),
}

impl Fault {
    /// What Python calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Full => "full",
            Self::Late => "late",
            Self::Encoding(_) => "encoding",
            Self::Corrupt(_) => "corrupt",
            Self::Malformed(_) => "malformed",
        }
    }

    /// What is known beyond that.
    pub fn detail(self) -> String {
        match self {
            Self::Encoding(text) | Self::Corrupt(text) | Self::Malformed(text) => text,
            _ => String::new(),
        }
    }
}
