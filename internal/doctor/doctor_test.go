package doctor

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var today = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// sick are models in which exactly one thing is wrong, by the id of what must be found.
var sick = map[string]Model{
	"config-invalid":         {Problems: []Problem{{Kind: InvalidConfig, Text: "x"}}},
	"plaintext-reachable":    {Listeners: []Listener{{}}},
	"anonymous-reachable":    {Listeners: []Listener{{Encrypted: true, Anonymous: true}}},
	"wildcard-open":          {Listeners: []Listener{{Loopback: true, Wildcard: true}}},
	"password-plaintext":     {Bridges: []Bridge{{Secret: true}}},
	"bridge-insecure":        {Bridges: []Bridge{{Encrypted: true, Insecure: &Place{}}}},
	"tls-old":                {Listeners: []Listener{{Encrypted: true, OldTLS: "1.0"}}},
	"psk-no-forward-secrecy": {Listeners: []Listener{{Encrypted: true, NoForwardSecrecy: true}}},
	"key-exposed":            {Files: []File{{Kind: SecretKey, Mode: 0o604}}},
	"secret-exposed":         {Files: []File{{Kind: SecretFile, Mode: 0o620}}},
	"trust-writable":         {Files: []File{{Kind: TrustedFile, Mode: 0o646}}},
	"data-exposed":           {Files: []File{{Kind: SecretFolder, Mode: os.ModeDir | 0o710}}},
	"file-missing":           {Files: []File{{Kind: TrustedFile, Missing: true}}},
	"certificate-unusable":   {Listeners: []Listener{{Encrypted: true, Certificate: &Certificate{Err: "x"}}}},
	"certificate-expires":    {Listeners: []Listener{{Encrypted: true, Certificate: cert(-200, 29, 1, "")}}},
	"certificate-no-names":   {Listeners: []Listener{{Encrypted: true, Certificate: cert(-1, 365, 0, "")}}},
	"certificate-weak":       {Listeners: []Listener{{Encrypted: true, Certificate: cert(-1, 365, 1, "short")}}},
	"client-cert-unused":     {Listeners: []Listener{{Encrypted: true, ClientCA: true, CRL: &CRL{NextUpdate: today.Add(time.Hour)}}}},
	"crl-missing":            {Listeners: []Listener{{Encrypted: true, ClientCA: true, IdentityUsed: true}}},
	"crl-stale":              {Listeners: []Listener{{Encrypted: true, CRL: &CRL{NextUpdate: today.Add(-time.Hour)}}}},
	"origin-any":             {Listeners: []Listener{{Encrypted: true, AnyOrigin: true}}},
	"nobody-can-login":       {Listeners: []Listener{{Encrypted: true, NoLogin: true}}},
	"anonymous-local":        {Listeners: []Listener{{Loopback: true, Anonymous: true}}},
	"password-hash-weak":     {Accounts: []Account{{Weak: "few rounds"}}},
	"account-unsafe":         {Accounts: []Account{{Passwordless: true}}},
	"key-shared":             {SharedKeys: []SharedKey{{Names: []string{"a", "b"}}}},
	"lockout-weak":           {Lockout: &Lockout{Failures: 8, For: time.Second}},
	"acl-open":               {NoRules: []Place{{}}},
	"acl-wide":               {Rules: []Rule{{Kind: Wide}}},
	"acl-never":              {Rules: []Rule{{Kind: NoMember}}},
	"acl-client-id":          {Rules: []Rule{{Kind: ByClient}}},
	"acl-sys":                {Listeners: []Listener{{Loopback: true, ReadsSys: true}}},
	"protection-missing":     {Protection: &Protection{Uncovered: []string{"a/#"}}},
	"protection-observe":     {Protection: &Protection{Observe: []Place{{}}}},
	"replay-off":             {Protection: &Protection{NoReplay: []ProtectionRule{{}}}},
	"key-no-expiry":          {OldKeys: []OldKey{{}}},
	"limit-unbounded":        {Limits: []Limit{{}}},
	"ack-before-sync":        {Storage: &Storage{AckBeforeSync: true}},
	"state-not-kept":         {Storage: &Storage{Memory: true}},
	"ops-exposed":            {Ops: &Ops{TLS: true}},
	"audit-broken":           {Audit: &Audit{Broken: "line 3"}},
	"clock-wrong":            {Now: time.Unix(0, 0)},
	"runs-as-root":           {Process: &Process{PID: 1, Root: true, Seccomp: true, NoNewPrivs: true}},
	"sandbox-off":            {Process: &Process{PID: 1, Seccomp: true}},
	"fd-limit":               {Process: &Process{PID: 1, Seccomp: true, NoNewPrivs: true, OpenFiles: 1024, Clients: 900}},
	"secret-visible":         {Process: &Process{PID: 1, Seccomp: true, NoNewPrivs: true, SecretsInEnv: []string{"X_PASSWORD"}}},
	"not-ready":              {Process: &Process{PID: 1, Seccomp: true, NoNewPrivs: true, NotReady: "disk"}},
	"directive-unknown":      {Problems: []Problem{{Kind: UnknownName}}},
	"directive-no-effect":    {Problems: []Problem{{Kind: NoEffect}}},
	"directive-deprecated":   {Deprecated: []Directive{{}}},
}

// cert is valid from and to so many days from today.
func cert(from, to, names int, weak string) *Certificate {
	return &Certificate{NotBefore: today.AddDate(0, 0, from), NotAfter: today.AddDate(0, 0, to), Names: names, Weak: weak}
}

// TestEveryCheck: each id of the catalogue is found where it is, and nothing else is. A check that is taken out, or that
// finds what is not there, fails here.
func TestEveryCheck(t *testing.T) {
	for _, e := range Catalogue() {
		m, ok := sick[e.ID]
		if !ok {
			t.Errorf("%s has no model", e.ID)
			continue
		}
		if m.Now.IsZero() {
			m.Now = today
		}
		m.Dialect = SealMQ
		r := Examine(&m)
		if len(r.Findings) != 1 || r.Findings[0].ID != e.ID {
			t.Errorf("%s: found %+v", e.ID, r.Findings)
		}
		if e.ID == "ops-exposed" || e.ID == "audit-broken" {
			if r.Grade != "D" {
				t.Errorf("%s: grade %s", e.ID, r.Grade)
			}
		}
	}
	if len(sick) != len(Catalogue()) {
		t.Errorf("%d models for %d checks", len(sick), len(Catalogue()))
	}
	if r := Examine(&Model{Now: today}); r.Grade != "A" || len(r.Findings) != 0 {
		t.Errorf("an empty model: %+v", r)
	}
}

// healthy are models with nothing wrong, each near the edge of a check.
var healthy = map[string]Model{
	"plaintext on loopback":       {Listeners: []Listener{{Loopback: true, SecretsInClear: true}}},
	"key for owner and group":     {Files: []File{{Kind: SecretKey, Mode: 0o640}}},
	"public certificate":          {Files: []File{{Kind: TrustedFile, Mode: 0o644}}},
	"closed folder":               {Files: []File{{Kind: SecretFolder, Mode: 0o700}}},
	"a data folder yet to come":   {Files: []File{{Kind: SecretFolder, Missing: true}}},
	"31 days left":                {Listeners: []Listener{{Encrypted: true, Certificate: cert(-200, 31, 1, "")}}},
	"a certificate for few weeks": {Listeners: []Listener{{Encrypted: true, Certificate: cert(-5, 10, 1, "")}}},
	"metrics with TLS and token":  {Ops: &Ops{TLS: true, Token: true}},
	"metrics on loopback":         {Ops: &Ops{Loopback: true}},
	"files enough":                {Process: &Process{PID: 1, Seccomp: true, NoNewPrivs: true, OpenFiles: 1100, Clients: 900}},
	"a usual lockout":             {Lockout: &Lockout{Failures: 20, For: time.Minute}},
	"a bridge on loopback":        {Bridges: []Bridge{{Loopback: true, Secret: true}}},
}

func TestHealthy(t *testing.T) {
	for name, m := range healthy {
		m.Now = today
		if r := Examine(&m); len(r.Findings) != 0 {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}

func TestSeverityRises(t *testing.T) {
	for name, m := range map[string]Model{
		"certificate-expires": {Listeners: []Listener{{Encrypted: true, Certificate: cert(-200, -1, 1, "")}}},
		"password-hash-weak":  {Accounts: []Account{{Weak: "one round", Broken: true}}},
		"clock-wrong":         {Now: time.Unix(0, 0)},
	} {
		if m.Now.IsZero() {
			m.Now = today
		}
		if r := Examine(&m); len(r.Findings) != 1 || r.Findings[0].Severity != High {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}

func TestGradeAndOrder(t *testing.T) {
	m := Model{Now: today, Storage: &Storage{Memory: true}}
	if g := Examine(&m).Grade; g != "B" {
		t.Errorf("low: %s", g)
	}
	m.Limits = []Limit{{}}
	if g := Examine(&m).Grade; g != "C" {
		t.Errorf("medium: %s", g)
	}
	m.NoRules = []Place{{}}
	if g := Examine(&m).Grade; g != "D" {
		t.Errorf("one high: %s", g)
	}
	m.Listeners = []Listener{{}}
	r := Examine(&m)
	if r.Grade != "F" || r.Findings[0].Severity != High || r.Findings[len(r.Findings)-1].Severity != Low {
		t.Errorf("%+v", r)
	}
	if r := Examine(&m, "acl-open"); len(r.Findings) != 1 || r.Grade != "D" {
		t.Errorf("only: %+v", r)
	}
}

// TestCatalogueIsExplained: docs/operate/doctor.md has a section for each id and for nothing else, and each entry says in
// two sentences why it matters.
func TestCatalogueIsExplained(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, m := range regexp.MustCompile("(?m)^### ([a-z0-9-]+)$").FindAllStringSubmatch(string(page), -1) {
		sections = append(sections, m[1])
	}
	sentence := regexp.MustCompile(`[.!?](\s|$)`)
	for _, e := range Catalogue() {
		if i := slices.Index(sections, e.ID); i < 0 {
			t.Errorf("doctor.md has no section %s", e.ID)
		} else {
			sections = slices.Delete(sections, i, i+1)
		}
		_, body, _ := strings.Cut(string(page), "\n### "+e.ID+"\n")
		body, _, _ = strings.Cut(body, "\n#")
		if !strings.Contains(body, e.Severity.String()) || len(strings.Fields(body)) < 20 {
			t.Errorf("the section %s says too little, or another severity", e.ID)
		}
		if n := len(sentence.FindAllString(e.Why, -1)); n != 2 {
			t.Errorf("%s: %d sentences", e.ID, n)
		}
	}
	if len(sections) > 0 {
		t.Errorf("doctor.md explains what does not exist: %v", sections)
	}
}
