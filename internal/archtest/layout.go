// Package archtest keeps the map of packages true: which package may import which, what the pure core must not touch,
// and how large files, functions and interfaces may grow. ARCHITECTURE.md shows the map in words.
package archtest

// A Layer says how far from the wire format a package is. Imports point from later layers to earlier ones.
type Layer int

// The layers, innermost first.
const (
	_          Layer = iota
	Vocabulary       // types that everybody speaks; no I/O, no clock
	Logic            // decisions and state machines; no I/O, no clock
	Engine           // broker, client, gateway: they declare the seams they need
	Adapter          // listeners, stores, login methods: they fit a seam by shape
	Wiring           // the only places that see engine and adapters together
	Evidence         // tests about the product and the code
)

// String is the layer's name in messages.
func (l Layer) String() string {
	return [...]string{"no layer", "vocabulary", "logic", "engine", "adapter", "wiring", "evidence"}[l]
}

// pure reports whether a layer has no sockets, files, clocks and chance.
func (l Layer) pure() bool { return l == Vocabulary || l == Logic }

// A Package is one row of the map.
type Package struct {
	Dir   string
	Layer Layer
	May   []string // own packages that its files may import
	Tests []string // further own packages that its _test.go files may import

	// Planned marks a package that ARCHITECTURE.md names and that is not written yet. The mark must go when the
	// package comes.
	Planned bool

	// Except names an import or a selector ("os", "time.Now") that a pure package uses all the same, with the reason.
	Except map[string]string
}

// brokerDir is imported by wiring only, so that adapters and the engine cannot grow together.
const brokerDir = "internal/broker"

// testSupport may be imported by every test file.
var testSupport = []string{
	"internal/conformance",
	"internal/pkitest",
	"internal/repotree",
	"internal/store/memstore",
	"internal/store/storetest",
}

// layout is the column "may import" of the design. A package missing here fails the test, and so does a row
// without a package unless it is marked as planned.
var layout = []Package{
	{Dir: "mqtt", Layer: Vocabulary},
	{Dir: "topic", Layer: Vocabulary},
	{Dir: "internal/cbor", Layer: Vocabulary},
	{Dir: "vectors", Layer: Vocabulary},
	{Dir: "cose", Layer: Vocabulary, May: []string{"internal/cbor"}},
	{
		Dir: "internal/privfile", Layer: Vocabulary,
		Except: map[string]string{
			"os":      "files that only their owner may see are written and checked in one place",
			"syscall": "the owner of a file is compared with the user",
		},
	},
	{
		Dir: "internal/boundedfile", Layer: Vocabulary,
		Except: map[string]string{"os": "files that somebody else wrote are read in one place, never beyond a limit"},
	},
	{Dir: "internal/identity", Layer: Vocabulary},
	{Dir: "internal/message", Layer: Vocabulary, May: []string{"internal/identity", "mqtt", "topic"}},
	{Dir: "internal/store", Layer: Vocabulary, May: []string{"internal/identity", "internal/message", "mqtt", "topic"}},

	{Dir: "internal/session", Layer: Logic, May: []string{"internal/identity", "internal/message", "internal/store", "mqtt", "topic"}},
	{Dir: "internal/router", Layer: Logic, May: []string{"internal/message", "mqtt", "topic"}},
	{Dir: "internal/retained", Layer: Logic, May: []string{"internal/message", "mqtt", "topic"}, Tests: []string{"internal/identity"}},
	{Dir: "internal/acl", Layer: Logic, May: []string{"internal/identity", "mqtt", "topic"}},
	{
		Dir: "keyring", Layer: Logic, May: []string{"cose", "internal/cbor", "internal/privfile", "topic"},
		Except: map[string]string{"os": "key files are opened, and their permissions checked, in one place"},
	},
	{Dir: "protect", Layer: Logic, May: []string{"cose", "internal/cbor", "internal/privfile", "keyring", "mqtt", "topic"}},
	{Dir: "internal/doctor", Layer: Logic},
	{Dir: "internal/explain", Layer: Logic, May: []string{"internal/acl", "internal/identity", "mqtt", "topic"}},

	{
		Dir: "internal/payload", Layer: Logic,
		May:   []string{"cose", "internal/acl", "internal/identity", "internal/message", "keyring", "mqtt", "protect", "topic"},
		Tests: []string{"internal/protecting"},
	},

	{
		Dir: brokerDir, Layer: Engine,
		May: []string{
			"internal/identity", "internal/message", "internal/retained", "internal/router",
			"internal/session", "internal/store", "mqtt", "topic",
		},
		Tests: []string{"client", "internal/transport"},
	},
	{
		Dir: "client", Layer: Engine, May: []string{"cose", "keyring", "mqtt", "protect", "topic"},
		Tests: []string{"internal/node"},
	},
	{
		Dir: "internal/protecting", Layer: Engine,
		May: []string{"client", "cose", "internal/privfile", "keyring", "mqtt", "protect", "topic"}, Tests: []string{"internal/config", "internal/node"},
	},
	{Dir: "internal/gateway", Layer: Engine, May: []string{"client", "keyring", "mqtt", "protect", "topic"}, Planned: true},

	{Dir: "psktls", Layer: Adapter},
	{Dir: "internal/transport", Layer: Adapter, May: []string{"internal/identity", "psktls"}},
	{
		Dir: "internal/authn", Layer: Adapter, May: []string{"cose", "internal/boundedfile", "internal/identity", "internal/privfile", "keyring", "protect"},
	},
	{Dir: "internal/store/memstore", Layer: Adapter, May: storeAdapter},
	{Dir: "internal/store/pebblestore", Layer: Adapter, May: storeAdapter},
	{Dir: "internal/store/storetest", Layer: Adapter, May: storeAdapter},
	{Dir: "internal/wiretap", Layer: Adapter, May: []string{"mqtt"}},
	{Dir: "internal/config", Layer: Adapter, May: []string{"internal/acl", "internal/authn", "internal/identity", "internal/payload", "mqtt", "protect", "topic"}},
	{Dir: "internal/observe", Layer: Adapter, May: []string{"internal/identity", "mqtt"}},
	{Dir: "internal/ca", Layer: Adapter, May: []string{"internal/privfile"}},
	{Dir: "internal/setup", Layer: Adapter, May: []string{"internal/authn", "internal/ca", "internal/config", "internal/privfile", "internal/transport", "psktls"}},
	{Dir: "internal/mosquittoconf", Layer: Adapter, May: []string{"internal/boundedfile"}},
	{Dir: "internal/translation", Layer: Adapter, May: []string{"internal/mosquittoconf"}, Tests: []string{"internal/authn", "internal/config", "internal/identity"}},
	{Dir: "internal/probe", Layer: Adapter, May: []string{"mqtt"}, Tests: []string{"internal/config", "internal/node"}},
	{Dir: "internal/doctor/gather", Layer: Adapter, May: []string{"cose", "internal/acl", "internal/audit", "internal/authn", "internal/boundedfile", "internal/config", "internal/doctor", "internal/mosquittoconf", "internal/payload", "internal/probe", "keyring", "protect", "topic"}},
	{Dir: "internal/ops", Layer: Adapter, May: []string{"internal/observe", "internal/privfile"}},
	{Dir: "internal/audit", Layer: Adapter, May: []string{"internal/boundedfile", "internal/privfile"}},
	{Dir: "internal/control", Layer: Adapter, May: []string{"internal/explain", "internal/identity", "internal/payload", "topic"}},

	{
		Dir: "internal/node", Layer: Wiring,
		May: []string{
			brokerDir, "internal/acl", "internal/audit", "internal/authn", "internal/config", "internal/control", "internal/explain", "internal/identity", "internal/observe", "internal/ops", "internal/payload", "internal/privfile", "internal/session", "internal/store",
			"internal/store/memstore", "internal/store/pebblestore", "internal/transport", "keyring", "mqtt", "protect", "psktls", "topic",
		},
		Tests: []string{"client", "cose", "internal/message", "internal/protecting"},
	},
	{
		Dir: "internal/demo", Layer: Wiring,
		May: []string{
			brokerDir, "client", "cose", "internal/authn", "internal/ca", "internal/config", "internal/identity", "internal/node", "internal/outcomes",
			"internal/protecting", "internal/wiretap", "keyring", "mqtt", "protect", "psktls",
		},
	},
	{
		Dir: "internal/outcomes", Layer: Wiring,
		May: []string{
			brokerDir, "client", "cose", "internal/ca", "internal/config", "internal/node", "internal/protecting", "internal/wiretap", "keyring", "mqtt",
			"protect", "vectors",
		},
	},
	{
		Dir: "internal/bench", Layer: Wiring,
		May:   []string{"client", "cose", "internal/authn", "internal/ca", "internal/protecting", "keyring", "mqtt", "protect", "psktls"},
		Tests: []string{"internal/config", "internal/node"},
	},
	{
		Dir: "cmd/sealmq", Layer: Wiring,
		May: []string{
			brokerDir, "client", "cose", "internal/acl", "internal/audit", "internal/authn", "internal/bench", "internal/ca", "internal/config", "internal/control", "internal/demo", "internal/doctor", "internal/doctor/gather", "internal/explain",
			"internal/gateway", "internal/identity", "internal/mosquittoconf", "internal/node", "internal/observe", "internal/payload", "internal/privfile", "internal/probe", "internal/protecting", "internal/setup", "internal/store", "internal/translation",
			"internal/store/memstore", "internal/store/pebblestore", "internal/transport", "keyring", "mqtt", "protect", "psktls", "topic",
		},
	},

	{Dir: "internal/repotree", Layer: Evidence},
	{Dir: "internal/pkitest", Layer: Evidence},
	{Dir: "internal/archtest", Layer: Evidence, May: []string{"internal/repotree"}},
	{Dir: "internal/conformance", Layer: Evidence, May: []string{"internal/repotree"}},
	{Dir: "vectors/protect", Layer: Evidence, May: []string{"cose", "internal/cbor", "keyring", "protect"}},
	{Dir: "test/interop", Layer: Evidence, May: []string{"client", "internal/bench", "internal/probe", "mqtt"}},
	{Dir: "test/interop/protect", Layer: Evidence, May: []string{"cose", "keyring", "protect"}},
	{Dir: "test/interop/psk", Layer: Evidence, May: []string{"psktls"}},
	{Dir: "test/release", Layer: Evidence},
	{Dir: "test/mutation", Layer: Evidence},
	{Dir: "test/docs", Layer: Evidence, May: []string{"internal/repotree"}},
	{Dir: "test/integration", Layer: Evidence, May: []string{"client", "internal/node", "mqtt"}, Planned: true},
	{Dir: "test/conformance", Layer: Evidence, May: []string{brokerDir, "internal/identity", "internal/node", "internal/session", "internal/store", "internal/transport", "mqtt", "topic"}},
	{Dir: "test/faults", Layer: Evidence, May: []string{"client", "internal/node", "internal/store", "internal/store/pebblestore", "mqtt"}},
	{Dir: "test/bench", Layer: Evidence, May: []string{"cose", "internal/authn", "internal/ca", "keyring", "test/bench/floor", "test/bench/load"}, Tests: []string{"internal/config", "internal/node"}},
	{Dir: "test/bench/floor", Layer: Evidence, May: []string{"mqtt"}, Tests: []string{"test/bench/load"}},
	{
		Dir: "test/bench/load", Layer: Evidence, May: []string{"keyring", "mqtt", "protect", "psktls"},
		Tests: []string{"cose", "internal/config", "internal/node", "internal/wiretap"},
	},
	{Dir: "test/soak", Layer: Evidence, May: []string{"client", "mqtt"}, Planned: true},
}

// storeAdapter is what the engine's store adapters share: the vocabulary of a batch.
var storeAdapter = []string{"internal/cbor", "internal/identity", "internal/message", "internal/store", "mqtt", "topic"}

// longFunctions lists the functions over the line limit that may stay so, with the reason, as "folder.Func" or
// "folder.Type.Method".
var longFunctions = map[string]string{}

// wideInterfaces lists the interfaces over the method limit that may stay so, with the reason, as "folder.Name".
var wideInterfaces = map[string]string{}
