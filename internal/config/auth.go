package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealmq/sealmq/internal/authn"
)

// Auth says who may log in. A method without its file, or what takes its place, is not offered.
type Auth struct {
	// Anonymous accepts clients that prove nothing. They get no durable sessions, except in a Plan made with Dev.
	Anonymous   bool
	Order       []AuthMethod // all methods that are offered, each once; never nil after Load
	Password    AuthPassword
	SCRAM       AuthSCRAM
	JWT         AuthJWT
	Certificate AuthCertificate
	Credential  AuthCredential
	PSK         bool
	Lockout     AuthLockout
}

// AuthMethod is one way to log in.
type AuthMethod string

// The values in auth.order, in the order that is the default.
const (
	AuthByCertificate AuthMethod = "certificate"
	AuthByPSK         AuthMethod = "psk"
	AuthBySCRAM       AuthMethod = "scram"
	AuthByCredential  AuthMethod = "credential"
	AuthByJWT         AuthMethod = "jwt"
	AuthByPassword    AuthMethod = "password"
)

var authMethods = []AuthMethod{AuthByCertificate, AuthByPSK, AuthBySCRAM, AuthByCredential, AuthByJWT, AuthByPassword}

// AuthPassword is login with user name and password.
type AuthPassword struct {
	File              string // absolute; "": not offered
	MaxParallelHashes int
	HashQueue         int
	Upgrade           bool
}

// AuthSCRAM is MQTT 5 enhanced authentication with SCRAM.
type AuthSCRAM struct {
	File           string // absolute; "": not offered
	Mechanisms     []Mechanism
	ChannelBinding Binding
}

// Mechanism is an Authentication Method of SCRAM.
type Mechanism string

// Binding says whether SCRAM is tied to the TLS connection.
type Binding string

// The values of auth.scram.channel_binding.
const (
	BindingPreferred Binding = "preferred"
	BindingRequired  Binding = "required"
	BindingOff       Binding = "off"
)

// AuthJWT is login with a signed token.
type AuthJWT struct {
	Keys       string // file, absolute; exactly one of Keys and KeysURL when offered
	KeysURL    string
	KeysCA     string // absolute
	Refresh    time.Duration
	Issuer     string
	Audience   string
	Algorithms []JWTAlgorithm
	NameClaim  string
}

// JWTAlgorithm is a signature algorithm of tokens.
type JWTAlgorithm string

// AuthCertificate is login with a client certificate.
type AuthCertificate struct {
	Identity string // template; "": not offered
	ClientID string // template; "": clients choose
}

// AuthCredential is login without TLS: P1, P2 or P3 of the profile MQTT1 in the Password.
type AuthCredential struct {
	Keyring    string // absolute; "": not offered
	Passphrase string // file, absolute; "": the keyring has none
	Server     string // what credentials are bound to; never "" when offered
	Forms      []CredentialForm
	Identity   string // template of the user name of a key; never "" after Load when offered
}

// CredentialForm is one form of credential.
type CredentialForm string

// The values in auth.credential.forms.
const (
	CredentialP1 CredentialForm = "p1" // password sealed to the broker's key
	CredentialP2 CredentialForm = "p2" // pre-shared key
	CredentialP3 CredentialForm = "p3" // device signature key
)

var credentialForms = []CredentialForm{CredentialP1, CredentialP2, CredentialP3}

// AuthLockout refuses who failed too often.
type AuthLockout struct {
	Failures        int
	AddressFailures int
	Within          time.Duration
	For             time.Duration
}

// Offers reports whether a method is configured.
func (a *Auth) Offers(m AuthMethod) bool {
	switch m {
	case AuthByCertificate:
		return a.Certificate.Identity != ""
	case AuthByPSK:
		return a.PSK
	case AuthBySCRAM:
		return a.SCRAM.File != ""
	case AuthByCredential:
		return a.Credential.Keyring != ""
	case AuthByJWT:
		return a.JWT.Keys != "" || a.JWT.KeysURL != ""
	default:
		return a.Password.File != ""
	}
}

// offered lists the methods that are configured, in the default order.
func (a *Auth) offered() []AuthMethod {
	return slices.DeleteFunc(slices.Clone(authMethods), func(m AuthMethod) bool { return !a.Offers(m) })
}

// HasLogin reports whether some method is configured.
func (a *Auth) HasLogin() bool { return len(a.offered()) > 0 }

// sendsSecret reports whether a method is configured that has the client send what logs in.
func (a *Auth) sendsSecret() bool { return a.Offers(AuthByPassword) || a.Offers(AuthByJWT) }

var authKeys = slices.Concat([]field[Config]{
	yesNo("auth.anonymous", func(c *Config) *bool { return &c.Auth.Anonymous }, false,
		"Accept clients that prove nothing. They get no durable sessions, and no listener that other machines can "+
			"reach accepts them."),
	words("auth.order", func(c *Config) *[]AuthMethod { return &c.Auth.Order }, nil, authMethods,
		"Order in which the configured methods are asked: the first that recognises what the client brought decides. All "+
			"of them must be in it. password recognises every client with a user name, so what stands behind it sees few. "+
			"Default: certificate, psk, scram, credential, jwt, password, as far as configured."),
}, passwordKeys, scramKeys, credentialKeys, jwtKeys, []field[Config]{
	checked("auth.certificate.identity", "template", func(c *Config) *string { return &c.Auth.Certificate.Identity }, templateRange, checkTemplate,
		"User name of clients with a certificate, such as {cn}. A field must have exactly one value in the certificate, "+
			"without wildcards. A user name in CONNECT that says something else is refused."),
	checked("auth.certificate.client_id", "template", func(c *Config) *string { return &c.Auth.Certificate.ClientID }, templateRange, checkTemplate,
		"Client Identifier that a client with a certificate must use; without it clients choose."),
	yesNo("auth.psk", func(c *Config) *bool { return &c.Auth.PSK }, false,
		"The identity of the pre-shared key of a TLS-PSK connection is the user name."),
}, lockoutKeys)

var passwordKeys = []field[Config]{
	optionalPath("auth.password.file", func(c *Config) *string { return &c.Auth.Password.File },
		"Account file for login with user name and password, made with sealmq passwd or mosquitto_passwd. Only the "+
			"broker's user may have access. It is read again at a reload."),
	bounded(counts, "auth.password.max_parallel_hashes", func(c *Config) *int { return &c.Auth.Password.MaxParallelHashes }, 1, 1, 64,
		"Passwords checked at one time. Each takes the memory its account asks for, 19 MiB for those made by sealmq passwd.", restart),
	bounded(counts, "auth.password.hash_queue", func(c *Config) *int { return &c.Auth.Password.HashQueue }, 256, 1, 4096,
		"Logins that may wait for a password check, in turn between addresses; one more is told to try again (Server busy).", restart),
	yesNo("auth.password.upgrade", func(c *Config) *bool { return &c.Auth.Password.Upgrade }, false,
		"Replace weak verifiers in the file at the next login with the right password. The broker needs write access to the file's folder."),
}

var scramKeys = []field[Config]{
	optionalPath("auth.scram.file", func(c *Config) *string { return &c.Auth.SCRAM.File },
		"Account file for login with SCRAM (MQTT 5 enhanced authentication), made with sealmq passwd --format scram; it may be the same as auth.password.file."),
	words("auth.scram.mechanisms", func(c *Config) *[]Mechanism { return &c.Auth.SCRAM.Mechanisms },
		[]Mechanism{"SCRAM-SHA-256", "SCRAM-SHA-512"}, []Mechanism{"SCRAM-SHA-256", "SCRAM-SHA-512"},
		"Authentication Methods that are offered; each also with -PLUS, which needs channel binding."),
	choice("auth.scram.channel_binding", func(c *Config) *Binding { return &c.Auth.SCRAM.ChannelBinding },
		"Tie the login to the TLS connection (tls-exporter): preferred checks it whenever the client offers it, required refuses who does not, off never offers it.",
		[]Binding{BindingPreferred, BindingRequired, BindingOff}),
}

var credentialKeys = []field[Config]{
	optionalPath("auth.credential.keyring", func(c *Config) *string { return &c.Auth.Credential.Keyring },
		"Keyring for login without TLS, made with sealmq keys: the broker's p1 keys, and the p2 and p3 keys of clients. Only the "+
			"broker's user may have access. It is read again at a reload."),
	optionalPath("auth.credential.passphrase_file", func(c *Config) *string { return &c.Auth.Credential.Passphrase },
		"File with the passphrase of that keyring in its first line."),
	checked("auth.credential.server", "text", func(c *Config) *string { return &c.Auth.Credential.Server }, textRange, checkText,
		"Name of this broker that credentials are bound to; clients have the same (--server-name). Brokers that do not share their "+
			"data folder need different ones, or a credential could be used once at each."),
	words("auth.credential.forms", func(c *Config) *[]CredentialForm { return &c.Auth.Credential.Forms }, nil, credentialForms,
		"Forms that are accepted: p1, a password sealed to the broker's key; p2, a pre-shared key; p3, a signature. Default: p2, p3, and "+
			"with auth.password.file p1."),
	checked("auth.credential.identity", "template", func(c *Config) *string { return &c.Auth.Credential.Identity }, recordTemplateRange, checkRecordTemplate,
		"User name of clients with a p2 or p3 key; default {name}, the key's name in the keyring. A user name in CONNECT that says "+
			"something else is refused."),
}

var jwtKeys = []field[Config]{
	optionalPath("auth.jwt.keys", func(c *Config) *string { return &c.Auth.JWT.Keys },
		"JWK Set with the public keys of the token issuer. Excludes auth.jwt.keys_url."),
	checked("auth.jwt.keys_url", "address", func(c *Config) *string { return &c.Auth.JWT.KeysURL }, "https://…", checkHTTPS,
		"Address of the JWK Set. Redirects are not followed; at most 256 KiB are read."),
	optionalPath("auth.jwt.keys_ca", func(c *Config) *string { return &c.Auth.JWT.KeysCA },
		"PEM file of the authorities that auth.jwt.keys_url is verified with, instead of those of the system."),
	bounded(durations, "auth.jwt.refresh", func(c *Config) *time.Duration { return &c.Auth.JWT.Refresh }, time.Hour, time.Minute, day,
		"Age at which the keys of auth.jwt.keys_url are fetched again; an unknown key does so at once, at most every 30 s. Keys 24 times as old are not used."),
	checked("auth.jwt.issuer", "text", func(c *Config) *string { return &c.Auth.JWT.Issuer }, textRange, checkText,
		"The claim iss must be this. Part of the login's identity."),
	checked("auth.jwt.audience", "text", func(c *Config) *string { return &c.Auth.JWT.Audience }, textRange, checkText,
		"The claim aud must contain this."),
	words("auth.jwt.algorithms", func(c *Config) *[]JWTAlgorithm { return &c.Auth.JWT.Algorithms },
		[]JWTAlgorithm{"EdDSA", "ES256"}, []JWTAlgorithm{"EdDSA", "ES256", "RS256"},
		"Signatures that are accepted. RS256 keys have at least 2048 bits."),
	name("auth.jwt.username_claim", func(c *Config) *string { return &c.Auth.JWT.NameClaim }, "sub",
		"Claim with the user name. A user name in CONNECT that says something else is refused."),
}

var lockoutKeys = []field[Config]{
	bounded(counts, "auth.lockout.failures", func(c *Config) *int { return &c.Auth.Lockout.Failures }, 8, 1, 1000,
		"Failed logins of one address with one user name after which they are refused unseen. A user name alone is never locked."),
	bounded(counts, "auth.lockout.address_failures", func(c *Config) *int { return &c.Auth.Lockout.AddressFailures }, 40, 1, 100_000,
		"Failed logins of one address (IPv6: one /64) with any user names. Loopback is not counted, and user names that "+
			"logged in from there within the last hour are let through."),
	bounded(durations, "auth.lockout.within", func(c *Config) *time.Duration { return &c.Auth.Lockout.Within }, time.Minute, time.Second, day,
		"Time in which failures are counted."),
	bounded(durations, "auth.lockout.for", func(c *Config) *time.Duration { return &c.Auth.Lockout.For }, 10*time.Minute, time.Second, day,
		"How long the first lock lasts; each one that follows soon is twice as long, up to 16 times."),
}

const (
	templateRange       = "text with {cn}, {subject}, {san_dns}, {san_email}, {san_uri}, {san_ip} or {fingerprint}"
	recordTemplateRange = "text with {name}, {client_id} or {kid}"
	textRange           = "1 to 256 characters"
	maxText             = 256
)

func checkText(s string) string {
	if s == "" || len(s) > maxText || strings.ContainsFunc(s, isControl) {
		return "not a text of " + textRange
	}
	return ""
}

func checkTemplate(s string) string {
	if why := checkText(s); why != "" {
		return why
	}
	if err := authn.CheckTemplate(s); err != nil {
		return err.Error()
	}
	return ""
}

func checkRecordTemplate(s string) string {
	if why := checkText(s); why != "" {
		return why
	}
	if err := authn.CheckCredentialTemplate(s); err != nil {
		return err.Error()
	}
	return ""
}

func checkHTTPS(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || checkText(s) != "" {
		return "not an address that begins with https:// and has no user name in it"
	}
	return ""
}

// completeAuth gives the order and the credentials their defaults.
func (c *Config) completeAuth() {
	if len(c.Auth.Order) == 0 {
		c.Auth.Order = c.Auth.offered()
	}
	a := &c.Auth
	if !a.Offers(AuthByCredential) {
		return
	}
	if len(a.Credential.Forms) == 0 {
		a.Credential.Forms = []CredentialForm{CredentialP2, CredentialP3}
		if a.Offers(AuthByPassword) {
			a.Credential.Forms = slices.Clone(credentialForms)
		}
	}
	if a.Credential.Identity == "" {
		a.Credential.Identity = authn.DefaultCredentialIdentity
	}
}

// pointlessAuth lists the keys of methods that are not offered.
func (c *Config) pointlessAuth() []pointless {
	var out []pointless
	a := &c.Auth
	for _, m := range []struct {
		off     bool
		because string
		paths   []string
	}{
		{!a.Offers(AuthByPassword), "auth.password.file is not given", []string{
			"auth.password.max_parallel_hashes", "auth.password.hash_queue", "auth.password.upgrade",
		}},
		{!a.Offers(AuthBySCRAM), "auth.scram.file is not given", []string{"auth.scram.mechanisms", "auth.scram.channel_binding"}},
		{!a.Offers(AuthByJWT), "neither auth.jwt.keys nor auth.jwt.keys_url is given", []string{
			"auth.jwt.issuer", "auth.jwt.audience", "auth.jwt.algorithms", "auth.jwt.username_claim", "auth.jwt.keys_ca", "auth.jwt.refresh",
		}},
		{a.Offers(AuthByJWT) && a.JWT.KeysURL == "", "auth.jwt.keys_url is not given", []string{"auth.jwt.keys_ca", "auth.jwt.refresh"}},
		{!a.Offers(AuthByCredential), "auth.credential.keyring is not given", []string{
			"auth.credential.passphrase_file", "auth.credential.server", "auth.credential.forms", "auth.credential.identity",
		}},
		{!a.Offers(AuthByCertificate), "auth.certificate.identity is not given", []string{"auth.certificate.client_id"}},
		{!a.HasLogin(), "no login method is configured", []string{
			"auth.order", "auth.lockout.failures", "auth.lockout.address_failures", "auth.lockout.within", "auth.lockout.for",
		}},
	} {
		if m.off {
			for _, p := range m.paths {
				out = append(out, pointless{p, m.because})
			}
		}
	}
	return out
}

// checkAuth refuses methods that are half configured, and an order that does not name those that are.
func (c *Config) checkAuth(d *decoder) {
	a := &c.Auth
	if a.JWT.Keys != "" && a.JWT.KeysURL != "" {
		d.conflict("auth.jwt.keys_url: there is auth.jwt.keys already", "keep one of them", "auth.jwt.keys_url", "auth.jwt.keys")
	}
	if a.Offers(AuthByJWT) {
		for path, value := range map[string]string{"auth.jwt.issuer": a.JWT.Issuer, "auth.jwt.audience": a.JWT.Audience} {
			if value == "" && !d.broken[path] {
				d.conflict("the key "+path+" is missing: a token for anybody would log in here", "", "auth.jwt.keys", "auth.jwt.keys_url")
			}
		}
	}
	if a.Offers(AuthByCredential) {
		c.checkCredential(d)
	}
	if d.nodes["auth.order"] != nil && a.HasLogin() {
		for _, m := range a.offered() {
			if !slices.Contains(a.Order, m) {
				d.conflict(fmt.Sprintf("auth.order: %s is configured and not in it", m), "add it, or remove its section", "auth.order")
			}
		}
		for _, m := range a.Order {
			if !a.Offers(m) && !d.anyBroken("auth."+string(m)) {
				d.conflict(fmt.Sprintf("auth.order: %s is in it and not configured", m), "remove it", "auth.order")
			}
		}
	}
	if a.Lockout.AddressFailures < a.Lockout.Failures {
		d.conflict(fmt.Sprintf("auth.lockout.address_failures: %d is less than auth.lockout.failures (%d)", a.Lockout.AddressFailures, a.Lockout.Failures),
			"", "auth.lockout.address_failures", "auth.lockout.failures")
	}
}

func (c *Config) checkCredential(d *decoder) {
	a := &c.Auth
	if a.Credential.Server == "" && !d.broken["auth.credential.server"] {
		d.conflict("the key auth.credential.server is missing: a credential for another broker would log in here", "", "auth.credential.keyring")
	}
	if slices.Contains(a.Credential.Forms, CredentialP1) && !a.Offers(AuthByPassword) {
		d.conflict("auth.credential.forms: p1 carries a password, and there is no account file to check it with",
			"add auth.password.file, or take p1 out", "auth.credential.forms", "auth.password.file")
	}
	credential, password := slices.Index(a.Order, AuthByCredential), slices.Index(a.Order, AuthByPassword)
	if password >= 0 && credential > password {
		d.conflict("auth.order: password recognises every client with a user name, so credential behind it sees none", "put credential before password", "auth.order")
	}
}

// anyBroken reports whether a value below the section was reported.
func (d *decoder) anyBroken(section string) bool {
	for path := range d.broken {
		if path == section || strings.HasPrefix(path, section+".") {
			return true
		}
	}
	return false
}
