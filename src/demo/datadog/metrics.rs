//! Metric queries, v1 and v2: invented but repeatable numbers, the same for the same minute.
//!
//! A query is not evaluated; only its metric and scope are taken from it for the answer.

use serde_json::{Value, json};

use super::{Asked, Outcome, Problem, invalid};

/// The end of the year 2099, in seconds: times beyond are mistakes.
const LATEST_S: i64 = 4_102_444_800;
const POINTS_MAX: i64 = 300;

/// `GET /api/v1/query`.
pub(super) fn query(asked: &Asked) -> Outcome {
    let Some(text) = asked.query.get("query").filter(|text| !text.is_empty()) else {
        return invalid("Missing required parameter 'query'");
    };
    let from = asked.number("from", -1)?;
    let to = asked.number("to", -1)?;
    let steps = Steps::between(from, to)?;
    let parsed = Parsed::of(text);
    let points: Vec<Value> = steps
        .seconds()
        .map(|at| json!([at as f64 * 1000.0, parsed.value(at)]))
        .collect();
    Ok(json!({
        "status": "ok",
        "res_type": "time_series",
        "resp_version": 1,
        "query": text,
        "from_date": from * 1000,
        "to_date": to * 1000,
        "group_by": [],
        "message": "",
        "values": [],
        "times": [],
        "series": [{
            "metric": parsed.metric,
            "display_name": parsed.metric,
            "expression": text,
            "scope": parsed.scope,
            "aggr": parsed.aggregation,
            "tag_set": [],
            "attributes": {},
            "query_index": 0,
            "unit": [parsed.unit(), null],
            "interval": steps.interval,
            "length": points.len(),
            "start": from * 1000,
            "end": to * 1000,
            "pointlist": points,
        }],
    }))
}

/// `POST /api/v2/query/timeseries`; its times are milliseconds.
pub(super) fn timeseries(body: &Value) -> Outcome {
    let attributes = &body["data"]["attributes"];
    let (Some(from), Some(to)) = (attributes["from"].as_i64(), attributes["to"].as_i64()) else {
        return invalid("data.attributes.from and data.attributes.to must be numbers");
    };
    let Some(queries) = attributes["queries"]
        .as_array()
        .filter(|list| !list.is_empty())
    else {
        return invalid("data.attributes.queries must not be empty");
    };
    if queries.len() > 10 {
        return invalid("data.attributes.queries has more than 10 entries");
    }
    let steps = Steps::between(from.div_euclid(1000), to.div_euclid(1000))?;
    let parsed: Vec<Parsed<'_>> = queries
        .iter()
        .map(|query| Parsed::of(query["query"].as_str().unwrap_or_default()))
        .collect();
    let series: Vec<Value> = parsed
        .iter()
        .enumerate()
        .map(|(index, parsed)| {
            json!({"group_tags": [], "query_index": index, "unit": [parsed.unit(), null]})
        })
        .collect();
    let values: Vec<Vec<f64>> = parsed
        .iter()
        .map(|parsed| steps.seconds().map(|at| parsed.value(at)).collect())
        .collect();
    let times: Vec<i64> = steps.seconds().map(|at| at * 1000).collect();
    Ok(
        json!({"data": {"id": "0", "type": "timeseries_response", "attributes": {
            "series": series, "times": times, "values": values,
        }}}),
    )
}

/// The points of time an answer has values for.
struct Steps {
    from: i64,
    to: i64,
    interval: i64,
}

impl Steps {
    fn between(from: i64, to: i64) -> Result<Self, Problem> {
        if from < 0 || to <= from || to > LATEST_S {
            return invalid("'from' and 'to' must be times, the first before the second");
        }
        let minutes = (to - from) / (60 * POINTS_MAX) + 1;
        Ok(Self {
            from,
            to,
            interval: minutes * 60,
        })
    }

    fn seconds(&self) -> impl Iterator<Item = i64> + '_ {
        let first = self.from - self.from.rem_euclid(self.interval) + self.interval;
        (0..POINTS_MAX)
            .map(move |step| first + step * self.interval)
            .take_while(|at| *at <= self.to)
    }
}

/// What can be told from a query's text: `avg:metric{scope} by {…}`.
struct Parsed<'a> {
    aggregation: &'a str,
    metric: &'a str,
    scope: &'a str,
}

impl<'a> Parsed<'a> {
    fn of(query: &'a str) -> Self {
        let (head, rest) = query.split_once('{').unwrap_or((query, "*"));
        let scope = rest.split_once('}').map_or(rest, |(scope, _)| scope);
        let (aggregation, metric) = head.rsplit_once(':').unwrap_or(("avg", head));
        Self {
            aggregation,
            metric,
            scope,
        }
    }

    fn is_duration(&self) -> bool {
        self.metric.ends_with(".request") || self.metric.contains("duration")
    }

    /// A slow wave with a bump at the end of every hour; durations stay below a second.
    fn value(&self, at: i64) -> f64 {
        let minute = at.div_euclid(60).rem_euclid(60) as f64;
        let wave = (minute / 60.0 * std::f64::consts::TAU).sin();
        let bump = if minute > 50.0 { 1.8 } else { 1.0 };
        let value = (0.31 + 0.06 * wave) * bump * if self.is_duration() { 1.0 } else { 100.0 };
        (value * 10_000.0).round() / 10_000.0
    }

    fn unit(&self) -> Value {
        if self.is_duration() {
            json!({"family": "time", "id": 11, "name": "second", "short_name": "s", "plural": "seconds", "scale_factor": 1.0})
        } else {
            Value::Null
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_metric_and_scope_from_the_query() {
        let parsed = Parsed::of("p95:trace.http.request{service:checkout,env:prod} by {host}");
        assert_eq!(parsed.aggregation, "p95");
        assert_eq!(parsed.metric, "trace.http.request");
        assert_eq!(parsed.scope, "service:checkout,env:prod");
    }

    proptest! {
        #[test]
        fn points_are_within_bounds(from in any::<i64>(), to in any::<i64>()) {
            if let Ok(steps) = Steps::between(from, to) {
                let all: Vec<i64> = steps.seconds().collect();
                prop_assert!(all.len() <= 300);
                prop_assert!(all.iter().all(|at| (from..=to).contains(at)));
            }
        }

        #[test]
        fn any_span_of_minutes_is_covered(from in 0..LATEST_S / 2, span in 60..LATEST_S / 2) {
            let steps = Steps::between(from, from + span).unwrap();
            let last = steps.seconds().last().unwrap();
            prop_assert!(from + span - last < steps.interval);
        }

        #[test]
        fn parsing_never_panics(query in "\\PC{0,60}") {
            let _ = Parsed::of(&query).value(0);
        }
    }
}
