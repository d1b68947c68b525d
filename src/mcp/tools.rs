//! What the tools of Datadog's own MCP server do to the account: reviewed by hand from Datadog's
//! public list of tools and the permissions each one asks for.
//!
//! Invariant: only a tool that is named here as a read is a read. Left out on purpose, and so
//! unknown: what runs code (`execute_code`), commands on hosts, and guides whose permissions are
//! not said. The tools of other servers are never looked up here: their names are their own.

use crate::record::Effect;

/// Whose tools they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Datadog's remote server.
    Datadog,
    /// Any other.
    Other,
}

/// The group of every tool, where operations are told apart by theirs.
pub const TAG: &str = "MCP";

/// The tools of Datadog's server that somebody has looked at.
pub fn known() -> impl Iterator<Item = &'static str> {
    READS.iter().chain(WRITES).chain(DELETIONS).copied()
}

/// What a call of a tool does; [`Effect::Unknown`] where nobody has looked.
#[must_use]
pub fn effect(tool: &str, server: Server) -> Effect {
    if server == Server::Other {
        return Effect::Unknown;
    }
    let is_in = |table: &[&str]| table.binary_search(&tool).is_ok();
    if is_in(READS) {
        Effect::Read
    } else if is_in(WRITES) {
        Effect::Write
    } else if is_in(DELETIONS) {
        Effect::Destroy
    } else {
        Effect::Unknown
    }
}

const DELETIONS: &[&str] = &[
    "delete_datadog_dashboard",
    "delete_datadog_security_suppression",
];

const WRITES: &[&str] = &[
    "add_comment_to_datadog_case",
    "append_reference_table_rows",
    "assign_datadog_security_findings",
    "create_datadog_case",
    "create_datadog_feature_flag",
    "create_datadog_monitor",
    "create_datadog_notebook",
    "create_datadog_security_findings_ticket",
    "create_datadog_security_suppression",
    "create_reference_table",
    "detach_datadog_security_findings_ticket",
    "edit_datadog_notebook",
    "edit_synthetics_tests",
    "execute_datadog_workflow",
    "link_jira_issue_to_datadog_case",
    "mute_datadog_security_findings",
    "sync_datadog_feature_flag_allocations",
    "synthetics_test_wizard",
    "update_datadog_case",
    "update_datadog_error_tracking_issue",
    "update_datadog_feature_flag_environment",
    "update_datadog_flaky_test_states",
    "update_datadog_security_signals_triage",
    "update_datadog_security_suppression",
    "update_datadog_workflow_with_agent_trigger",
    "upsert_datadog_dashboard",
];

const READS: &[&str] = &[
    "aggregate_datadog_ci_pipeline_events",
    "aggregate_datadog_test_events",
    "aggregate_dora_deployments",
    "analyze_cloud_network_monitoring",
    "analyze_datadog_error_tracking_errors",
    "analyze_datadog_logs",
    "analyze_datadog_security_findings",
    "analyze_datadog_security_signals",
    "apm_discover_span_tags",
    "apm_get_primary_tag_keys",
    "apm_get_recommendation",
    "apm_get_watchdog_story",
    "apm_latency_bottleneck_summary",
    "apm_query_trace",
    "apm_search_recommendations",
    "apm_search_spans",
    "apm_search_watchdog_stories",
    "ask_widget_expert",
    "check_datadog_flag_implementation",
    "ddsql_create_link",
    "ddsql_get_spec",
    "ddsql_run_query",
    "ddsql_schema_get_table_columns",
    "ddsql_schema_search_tables",
    "ddsql_schema_search_unstructured_fields",
    "describe_datadog_k8s_resource",
    "explore_profiling_call_graph",
    "explore_profiling_flame_graph",
    "explore_profiling_timeline",
    "find_datadog_database_instances",
    "get_change_stories",
    "get_datadog_case",
    "get_datadog_case_project",
    "get_datadog_code_coverage_branch_summary",
    "get_datadog_code_coverage_commit_summary",
    "get_datadog_code_coverage_files",
    "get_datadog_code_coverage_pr_summary",
    "get_datadog_dashboard",
    "get_datadog_database_calling_services",
    "get_datadog_database_explain_plans",
    "get_datadog_database_health_signals",
    "get_datadog_database_query_performance",
    "get_datadog_database_query_statement",
    "get_datadog_database_recommendations",
    "get_datadog_database_schemas",
    "get_datadog_error_tracking_issue",
    "get_datadog_feature_flag",
    "get_datadog_flaky_tests",
    "get_datadog_flaky_tests_management_policies",
    "get_datadog_incident",
    "get_datadog_k8s_manifest",
    "get_datadog_metric",
    "get_datadog_metric_context",
    "get_datadog_monitor_templates",
    "get_datadog_notebook",
    "get_datadog_security_detection_rule",
    "get_datadog_security_detection_rules_schema",
    "get_datadog_security_findings_schema",
    "get_datadog_security_findings_ticket_suggestions",
    "get_datadog_security_signal",
    "get_datadog_security_signals_schema",
    "get_datadog_security_suppressions",
    "get_datadog_test_optimization_settings",
    "get_datadog_trace",
    "get_datadog_workflow",
    "get_datadog_workflow_instance",
    "get_monitor_coverage",
    "get_ndm_device",
    "get_profiling_field_values",
    "get_profiling_fields",
    "get_profiling_profile_types",
    "get_profiling_runtime_ids",
    "get_profiling_service_insights",
    "get_profiling_services",
    "get_profiling_tag_names",
    "get_profiling_tag_values",
    "get_profiling_timeseries",
    "get_reference_table_rows",
    "get_rum_insight",
    "get_rum_summary",
    "get_synthetics_tests",
    "get_widget",
    "get_widget_reference",
    "get_widget_reference_compressed",
    "list_datadog_case_projects",
    "list_datadog_feature_flag_allocations",
    "list_datadog_feature_flag_environments",
    "list_datadog_feature_flags",
    "list_datadog_security_detection_rules",
    "list_datadog_workflows",
    "list_reference_tables",
    "optimize_datadog_database_query",
    "search_datadog_cases",
    "search_datadog_ci_pipeline_events",
    "search_datadog_dashboards",
    "search_datadog_database_plans",
    "search_datadog_database_samples",
    "search_datadog_error_tracking_issues",
    "search_datadog_events",
    "search_datadog_hosts",
    "search_datadog_incidents",
    "search_datadog_k8s_resources",
    "search_datadog_logs",
    "search_datadog_metrics",
    "search_datadog_monitor_groups",
    "search_datadog_monitors",
    "search_datadog_notebooks",
    "search_datadog_rum_events",
    "search_datadog_security_findings",
    "search_datadog_security_signals",
    "search_datadog_service_dependencies",
    "search_datadog_services",
    "search_datadog_slos",
    "search_datadog_spans",
    "search_datadog_test_events",
    "search_datadog_users",
    "search_datadog_widgets",
    "search_dora_deployments",
    "search_ndm_devices",
    "search_ndm_interfaces",
    "search_rum_applications",
    "search_rum_metrics",
    "search_rum_retention_filters",
    "semantic_search_change_stories",
    "swap_widget_type",
    "validate_dashboard_widget",
    "validate_datadog_monitor",
    "validate_notebook_cell",
    "validate_notebook_cells",
    "verify_widget_data",
    "visualize_tabular_data",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_no_name_is_in_two() {
        for table in [READS, WRITES, DELETIONS] {
            assert!(table.is_sorted_by(|a, b| a < b), "{table:?}");
        }
        let all = READS.iter().chain(WRITES).chain(DELETIONS);
        let mut names: Vec<_> = all.collect();
        let before = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), before);
    }

    #[test]
    fn no_name_of_a_change_is_a_read() {
        let changes = [
            "create",
            "update",
            "delete",
            "edit",
            "upsert",
            "execute",
            "add",
            "append",
            "mute",
            "assign",
            "sync",
            "link",
            "run_command",
        ];
        for tool in READS {
            let verb = tool.split('_').next().unwrap();
            assert!(!changes.contains(&verb), "{tool}");
        }
        assert_eq!(effect("search_datadog_logs", Server::Datadog), Effect::Read);
        for tool in [
            "",
            "execute_code",
            "Search_datadog_logs",
            "search_datadog_logs ",
        ] {
            assert_eq!(effect(tool, Server::Datadog), Effect::Unknown, "{tool:?}");
        }
        assert_eq!(
            effect("search_datadog_logs", Server::Other),
            Effect::Unknown
        );
    }
}
