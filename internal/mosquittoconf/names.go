package mosquittoconf

// Scope says which section a directive belongs to.
type Scope uint8

// The scopes.
const (
	_          Scope = iota
	OfBroker         // one value for the whole broker
	OfSecurity       // login and access: of the broker, or of the listener with per_listener_settings
	OfListener       // of the listener above it
	OfBridge         // of the connection above it
)

var scopes = map[Scope][]string{
	OfBroker: {
		"allow_duplicate_messages", "autosave_interval", "autosave_on_changes", "check_retain_source", "clientid_prefixes",
		"connection_messages", "enable_control_api", "global_max_clients", "global_max_connections", "global_plugin", "include_dir",
		"log_dest", "log_facility", "log_timestamp", "log_timestamp_format", "log_type", "max_inflight_bytes", "max_inflight_messages",
		"max_keepalive", "max_packet_size", "max_queued_bytes", "max_queued_messages", "memory_limit", "message_size_limit",
		"packet_buffer_size", "per_listener_settings", "persistence", "persistence_file", "persistence_location",
		"persistent_client_expiration", "pid_file", "queue_qos0_messages", "retain_available", "retain_expiry_interval",
		"retained_persistence", "retry_interval", "set_tcp_nodelay", "store_clean_interval", "sys_interval", "upgrade_outgoing_qos", "user",
		"websockets_headers_size", "websockets_log_level",
	},
	OfSecurity: {
		"acl_file", "allow_anonymous", "allow_zero_length_clientid", "auto_id_prefix", "password_file", "plugin", "plugin_load",
		"plugin_use", "psk_file", "auth_plugin", "auth_plugin_deny_special_chars",
	},
	OfListener: {
		"accept_protocol_versions", "bind_address", "bind_interface", "cafile", "capath", "certfile", "ciphers", "ciphers_tls1.3",
		"crlfile", "dhparamfile", "disable_client_cert_date_checks", "enable_proxy_protocol", "http_dir", "keyfile", "listener",
		"listener_allow_anonymous", "listener_auto_id_prefix", "max_connections", "max_qos", "max_topic_alias", "max_topic_alias_broker",
		"mount_point", "port", "protocol", "proxy_protocol_v2_require_tls", "psk_hint", "require_certificate", "socket_domain",
		"tls_engine", "tls_engine_kpass_sha1", "tls_keyform", "tls_version", "use_identity_as_username", "use_subject_as_username",
		"use_username_as_clientid", "websockets_origin",
	},
	OfBridge: {
		"address", "addresses", "bridge_alpn", "bridge_attempt_unsubscribe", "bridge_bind_address", "bridge_cafile", "bridge_capath",
		"bridge_certfile", "bridge_ciphers", "bridge_ciphers_tls1.3", "bridge_clean_start", "bridge_identity", "bridge_insecure",
		"bridge_keyfile", "bridge_max_packet_size", "bridge_max_topic_alias", "bridge_outgoing_retain", "bridge_protocol_version",
		"bridge_psk", "bridge_reload_type", "bridge_receive_maximum", "bridge_require_ocsp", "bridge_session_expiry_interval",
		"bridge_tcp_keepalive", "bridge_tcp_user_timeout", "bridge_tls_use_os_certs", "bridge_tls_version", "cleansession", "clientid",
		"connection", "idle_timeout", "keepalive_interval", "local_cleansession", "local_clientid", "local_password", "local_username",
		"notification_topic", "notifications", "notifications_local_only", "password", "remote_clientid", "remote_password",
		"remote_username", "restart_timeout", "round_robin", "start_type", "threshold", "topic", "try_private", "username",
	},
}

var byName = func() map[string]Scope {
	m := map[string]Scope{}
	for scope, names := range scopes {
		for _, n := range names {
			m[n] = scope
		}
	}
	return m
}()

// Known says what a directive is about. Options of plug-ins (auth_opt_NAME, plugin_opt_NAME) are known, too.
func Known(name string) (Scope, bool) {
	scope, ok := byName[name]
	if !ok && (len(name) > 9 && name[:9] == "auth_opt_" || len(name) > 11 && name[:11] == "plugin_opt_") {
		return OfSecurity, true
	}
	return scope, ok
}

// Names lists every directive, without the options of plug-ins, in no order.
func Names() []string {
	var out []string
	for n := range byName {
		out = append(out, n)
	}
	return out
}

// Deprecated says why a directive should not be used any more; "" when it may.
func Deprecated(name string) string {
	return deprecated[name]
}

var deprecated = map[string]string{
	"port":                  "deprecated since 2.0: write listener",
	"bind_address":          "deprecated since 2.0: give the address to listener",
	"per_listener_settings": "deprecated in 2.1, removed in 3.0: give each listener its plug-ins",
	"password_file":         "deprecated in 2.1, removed in 3.0: its plug-in takes over",
	"acl_file":              "deprecated in 2.1, removed in 3.0: its plug-in takes over",
	"psk_file":              "deprecated in 2.1, removed in 3.0",
	"clientid_prefixes":     "deprecated since 2.0",
	"retry_interval":        "without effect since 1.5",
	"store_clean_interval":  "without effect since 1.5",
	"upgrade_outgoing_qos":  "deprecated",
	"auth_plugin":           "deprecated since 2.0: write plugin",
	"message_size_limit":    "deprecated since 2.0: write max_packet_size",
}
