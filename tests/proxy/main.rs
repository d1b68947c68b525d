//! The proxy room as a whole, byte by byte: a real `Proxy` with a real journal, between children
//! that write their own HTTP and an upstream that can misbehave at any byte.
//!
//! Every test ends with [`gate::Gate::finish`], which closes the session, reads it back, checks
//! every commitment and searches every byte of it for keys.

#[cfg(test)]
#[path = "../support/absent.rs"]
mod absent;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod echoes;
#[cfg(test)]
mod events;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fidelity;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod many;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod recording;
#[cfg(test)]
mod session;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod unrecordable;
#[cfg(test)]
mod unseen;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod ways;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod write_ahead;
