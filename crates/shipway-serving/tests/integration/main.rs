//! Serving against the real lake and the real store, with models and features that a test holds in its hand.

#[cfg(test)]
mod caching;
#[cfg(test)]
mod deploying;
#[cfg(test)]
mod ensembles;
#[cfg(test)]
mod http;
#[cfg(test)]
mod launching;
#[cfg(test)]
#[path = "../../../shipway-runtime/tests/integration/library.rs"]
mod library;
#[cfg(test)]
mod logging;
#[cfg(test)]
mod parking;
#[cfg(test)]
mod predicting;
#[cfg(test)]
mod tensors;
#[cfg(test)]
mod world;
