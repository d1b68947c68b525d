//! Being signed in across runs: kept, refreshed, rotated, lost, signed out.

use ddgate::auth::AuthError;
use ddgate::auth::identity;
use ddgate::auth::secret_store::{SecretStore, Storage, StoreSettings, refresh_token_name};
use ddgate::auth::session::{self, HowKept, Prompting};
use ddgate::record::{Secret, Via};
use serde_json::Value;

use super::provider::TestProvider;
use super::{Person, client, nothing_leaks, settings};

fn store(directory: &std::path::Path) -> SecretStore {
    SecretStore::new(StoreSettings {
        storage: Storage::File,
        directory: directory.to_owned(),
        desktop: false,
    })
}

#[tokio::test]
async fn a_session_outlives_runs_and_ends_when_its_token_is_used_twice() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let (settings, http) = (settings(&provider), client());
    let name = refresh_token_name(&settings.issuer, &settings.client_id);
    let kept = || {
        let kept = store(home.path()).get(&name).unwrap();
        kept.map(|kept| serde_json::from_str::<Value>(kept.expose()).unwrap())
    };
    let establish = async |person: &Person<'_>, prompting| {
        let store = store(home.path());
        session::establish(&settings, &store, &http, person, prompting, &|_| None).await
    };
    let nobody = Person::nobody();

    let error = establish(&nobody, Prompting::Forbidden).await.unwrap_err();
    assert!(matches!(error, AuthError::NotSignedIn { .. }), "{error:?}");

    let person = Person::approving(&provider);
    let (first, how) = establish(&person, Prompting::Allowed).await.unwrap();
    assert_eq!(first.identity.via, Via::Device);
    assert!(
        matches!(&how, HowKept::Kept { place } if place.starts_with("file ")),
        "{how:?}"
    );
    let oldest = kept().unwrap()["rt"].as_str().unwrap().to_owned();
    assert_eq!(&oldest, first.refresh_token.unwrap().expose());

    let (second, _) = establish(&nobody, Prompting::Allowed).await.unwrap();
    assert_eq!(second.identity.via, Via::Refresh);
    assert_eq!(second.identity.groups, ["eng", "oncall"]);
    let newer = kept().unwrap()["rt"].as_str().unwrap().to_owned();
    assert_ne!(oldest, newer, "the rotated token is kept");
    assert_eq!(&newer, second.refresh_token.unwrap().expose());
    let stored = session::stored(&settings, &store(home.path()))
        .await
        .unwrap();
    assert_eq!(stored.unwrap().label(), "alice@example.test");

    // Several at once: the lock keeps each from using a token another has just used up.
    let all = std::iter::repeat_with(|| establish(&nobody, Prompting::Forbidden)).take(5);
    for renewed in join(all.collect()).await {
        renewed.unwrap();
    }

    // An outage costs nothing.
    provider.fault("token@refresh_token.status=503");
    let error = establish(&nobody, Prompting::Allowed).await.unwrap_err();
    assert!(matches!(error, AuthError::Unreachable { .. }), "{error:?}");
    provider.clear("faults");
    establish(&nobody, Prompting::Forbidden).await.unwrap();

    // Somebody uses an old copy: the provider ends the whole sign-in.
    let stolen = Secret::new(oldest);
    let error = identity::refresh(&settings, &http, &stolen, None).await;
    assert!(
        matches!(error, Err(AuthError::SignedOut { .. })),
        "{error:?}"
    );
    let error = establish(&nobody, Prompting::Forbidden).await.unwrap_err();
    assert!(matches!(error, AuthError::SignedOut { .. }), "{error:?}");
    nothing_leaks(&provider, &error, &error.to_string());
    assert!(kept().is_none(), "a dead token is forgotten");
}

/// Runs futures side by side (there is no such function in the crates we use).
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn signing_out_forgets_here_even_if_the_provider_does_not() {
    let Some(provider) = TestProvider::start(&["--no-enforce-interval"]) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let (settings, http, store) = (settings(&provider), client(), store(home.path()));
    let nothing = session::sign_out(&settings, &store, &http).await.unwrap();
    assert!(nothing.is_none());
    for (fault, works) in [(None, true), (Some("rev-500"), false)] {
        let person = Person::approving(&provider);
        let allowed = Prompting::Allowed;
        let established =
            session::establish(&settings, &store, &http, &person, allowed, &|_| None).await;
        let token = established.unwrap().0.refresh_token.unwrap();
        if let Some(fault) = fault {
            provider.fault(fault);
        }
        let out = session::sign_out(&settings, &store, &http).await.unwrap();
        let out = out.unwrap();
        assert_eq!(out.who.subject, "u-alice");
        assert_eq!(out.revocation.is_ok(), works, "{out:?}");
        nothing_leaks(&provider, &out, "");
        assert!(session::stored(&settings, &store).await.unwrap().is_none());
        let again = identity::refresh(&settings, &http, &token, None).await;
        assert_eq!(again.is_err(), works, "{again:?}");
    }
}
