package doctor

// checks is the catalogue. Ids are stable: scripts and --only use them, and docs/operate/doctor.md has a section for each.
var checks = []check{
	{Entry{
		"config-invalid", High, "The broker refuses this configuration",
		"A broker does not start with it, and a reload of it changes nothing. Whatever it was meant to protect is not in force.",
	}, problemsOf(InvalidConfig)},
	{Entry{
		"plaintext-reachable", High, "Other machines can reach a listener without encryption",
		"Whoever is on the way reads and changes every message, on a plant network as well as on Wi-Fi. Payloads that are sealed stay sealed, topics and logins do not.",
	}, plaintextReachable},
	{Entry{
		"anonymous-reachable", High, "Clients without login are accepted from other machines",
		"Anyone who reaches the port can read and publish what the rules allow to everybody. Nothing in the log says who it was.",
	}, anonymousReachable},
	{Entry{
		"wildcard-open", High, "A stranger may read everything",
		"One subscription to # shows every topic, name and message that passes. It is the first thing that scanners of the internet try.",
	}, observedOpen},
	{Entry{
		"password-plaintext", High, "Passwords cross the network in the clear",
		"One recorded login is enough to be that client from then on. Devices often share passwords with other things.",
	}, passwordPlaintext},
	{Entry{
		"bridge-insecure", High, "A bridge does not check whom it talks to",
		"Whoever answers in the other broker's place gets every message of the bridge and can send its own. The encryption is then with the attacker.",
	}, bridgeInsecure},
	{Entry{
		"tls-old", High, "TLS before 1.2 is accepted",
		"TLS 1.0 and 1.1 rest on MD5 and SHA-1 and were withdrawn by RFC 8996. A client that can do better may be talked down to them.",
	}, tlsOld},
	{Entry{
		"psk-no-forward-secrecy", Medium, "Pre-shared keys without a key exchange",
		"Whoever gets a device's key, perhaps years later, can read everything that was recorded before. With a key exchange they cannot.",
	}, forwardSecrecy},
	{Entry{
		"key-exposed", High, "A private key is open to others",
		"Whoever can read it can be the broker or the device, and nobody notices. Whoever can write it can replace it.",
	}, keyExposed},
	{Entry{
		"secret-exposed", High, "An account file or token is open to others",
		"Verifiers that leak can be guessed at leisure, tokens need no guessing. A file that others can write lets them make accounts.",
	}, secretExposed},
	{Entry{
		"trust-writable", High, "Others can change a file that decides who is trusted",
		"Whoever can write the configuration or a list of authorities lets in whom they like. It takes effect at the next reload, silently.",
	}, trustWritable},
	{Entry{
		"data-exposed", High, "The data folder is open to others",
		"It holds queued and retained messages, sessions and the key that login answers are made with. The control socket lies in it, too.",
	}, dataExposed},
	{Entry{
		"file-missing", High, "A file that the configuration names cannot be used",
		"The broker does not start without it, or, when it runs already, the next reload is refused. That tends to happen at night.",
	}, fileMissing},
	{Entry{
		"certificate-unusable", High, "The certificate of a listener cannot be used",
		"Clients cannot connect to this listener. People then turn verification off, which is worse.",
	}, certificateUnusable},
	{Entry{
		"certificate-expires", Medium, "The certificate of a listener has expired or soon does",
		"On that day every client that checks it stays away, all at once. Clients that do not check it should.",
	}, certificateExpires},
	{Entry{
		"certificate-no-names", Medium, "A certificate is for no name",
		"Clients compare the name they connect to with the Subject Alternative Names and ignore the common name. They fail, or somebody switches the check off and loses the protection.",
	}, certificateNames},
	{Entry{
		"certificate-weak", High, "A certificate has a weak key or signature",
		"Short keys and SHA-1 can be broken or forged with money that criminals have. Current clients refuse them.",
	}, certificateWeak},
	{Entry{
		"client-cert-unused", Medium, "Client certificates are checked, and their names are not used",
		"A certificate then proves that a client is some client, and access rules cannot tell them apart. Every device can be any other.",
	}, clientCertUnused},
	{Entry{
		"crl-missing", Medium, "Client certificates cannot be revoked",
		"A stolen device keeps its access until its certificate expires. Without a list there is no way to end it but a new authority.",
	}, crlMissing},
	{Entry{
		"crl-stale", High, "The list of revoked certificates is out of date or cannot be used",
		"A list that is not replaced says nothing about certificates stolen since. SealMQ refuses all certificates it cannot check, others may let all of them in.",
	}, crlStale},
	{Entry{
		"origin-any", Medium, "Pages of any site can connect through a browser",
		"A page that somebody on your network opens can talk to the broker with that person's reach. It needs no weakness of the browser.",
	}, originAny},
	{Entry{
		"nobody-can-login", Medium, "Nobody can log in",
		"No client gets past the login, which people tend to repair by opening everything. A login is one command away.",
	}, nobodyLogsIn},
	{Entry{
		"anonymous-local", Low, "Every program on this machine may connect without login",
		"Anything that runs here, a browser's helper included, reads and publishes without a name. One account for each program tells them apart.",
	}, anonymousLocal},
	{Entry{
		"password-hash-weak", Medium, "Stored passwords are weakly protected",
		"If the file leaks, weak verifiers are guessed by the billion on one graphics card. Argon2id costs memory and makes that slow.",
	}, hashWeak},
	{Entry{
		"account-unsafe", High, "An account needs no password, or its line is damaged",
		"A name is no secret: it is in logs, topics and on stickers. A file with a damaged line is refused as a whole.",
	}, accountProblem},
	{Entry{
		"key-shared", High, "Several devices have the same key",
		"Whoever opens one device is all of them, and none can be shut out alone. A log cannot say which one it was.",
	}, keyShared},
	{Entry{
		"lockout-weak", Medium, "Passwords can be guessed for long",
		"Devices have short or printed passwords, and a program tries thousands a minute. A lock by address costs honest clients nothing.",
	}, lockoutWeak},
	{Entry{
		"acl-open", High, "Every client may read and publish everything",
		"One stolen device reads the whole plant and can send commands in the name of all others. Rules that follow the client's name end that.",
	}, aclOpen},
	{Entry{
		"acl-wide", Medium, "A rule is wider than one branch of one client",
		"A device needs its own branch. What it may do beyond that is what its thief may do.",
	}, aclWide},
	{Entry{
		"acl-never", Medium, "A rule can never decide",
		"Whoever wrote it believes in an effect that is not there. Usually it is a deny behind an allow, or a group that is empty.",
	}, aclNever},
	{Entry{
		"acl-client-id", Low, "A rule believes what a client calls itself",
		"A Client Identifier proves nothing: every client can send any. Names of accounts and certificates do.",
	}, aclClientID},
	{Entry{
		"acl-sys", Low, "Everybody may read $SYS",
		"It tells a stranger the version, how many clients there are and whether an attack works. Operators need it, devices do not.",
	}, aclSys},
	{Entry{
		"protection-missing", Low, "Topics without a rule for payload protection",
		"On these topics the broker delivers whatever arrives, sealed or not. A device with a broken or downgraded sender goes unnoticed.",
	}, protectionMissing},
	{Entry{
		"protection-observe", Medium, "A protection rule only observes",
		"It counts what it would refuse and lets it pass. It was meant for the time of introduction.",
	}, protectionObserve},
	{Entry{
		"replay-off", Medium, "Recorded messages may be sent again",
		"A command that was valid once stays valid: open the gate, once more. A signature does not help, a time and a counter do.",
	}, replayOff},
	{Entry{
		"key-no-expiry", Low, "Keys that are never replaced",
		"A key that leaked unnoticed is good for ever. An end makes its replacement routine before it is an emergency.",
	}, keyNoExpiry},
	{Entry{
		"limit-unbounded", Medium, "A limit is missing",
		"One client, broken or hostile, can then fill the memory or the disk that all share. A bound turns that into the problem of one client.",
	}, limitUnbounded},
	{Entry{
		"ack-before-sync", Medium, "Messages are acknowledged before they are safe",
		"A power failure loses messages that their senders believe delivered. They are gone without a trace.",
	}, ackBeforeSync},
	{Entry{
		"state-not-kept", Low, "Nothing is kept over a restart",
		"Sessions, queued commands and retained states are gone after every restart. For a trial that is right.",
	}, stateNotKept},
	{Entry{
		"ops-exposed", High, "Metrics can be read from other machines",
		"They tell a stranger what runs, how loaded it is, and whether an attack works. The broker refuses to start this way.",
	}, opsExposed},
	{Entry{
		"audit-broken", High, "The chain of the audit file is broken",
		"Somebody changed or removed entries, or the disk did. What the file says about that time is no evidence any more.",
	}, auditBroken},
	{Entry{
		"clock-wrong", Low, "The clock is wrong, or nobody keeps it right",
		"Certificates, tokens and the age of messages are judged by it. A clock that drifts first refuses good clients and then accepts old messages.",
	}, clockWrong},
	{Entry{
		"runs-as-root", Medium, "The broker runs as root",
		"An error in the broker would then give away the whole machine. It needs no right of root, not even for its ports.",
	}, runsAsRoot},
	{Entry{
		"sandbox-off", Low, "The system does not confine the broker",
		"Filters and dropped rights are what is left when everything else failed. The unit in packaging/ has them all.",
	}, sandboxOff},
	{Entry{
		"fd-limit", Medium, "The broker may open fewer files than clients are allowed",
		"Each connection is an open file. When they run out, new clients are turned away and files cannot be reloaded.",
	}, fdLimit},
	{Entry{
		"secret-visible", Medium, "Secrets in the environment or the process list",
		"Other programs of the user read the environment, everybody on the machine the process list, and crash reports copy both. Files with permissions are made for secrets.",
	}, secretVisible},
	{Entry{
		"not-ready", High, "The broker takes no messages",
		"Publishers are refused or wait. It stays so until the reason is gone.",
	}, notReady},
	{Entry{
		"directive-unknown", Medium, "Lines that the broker does not know",
		"A misspelt line protects nothing. Mosquitto refuses to start with one.",
	}, problemsOf(UnknownName)},
	{Entry{
		"directive-no-effect", Medium, "Lines without effect",
		"Whoever wrote them believes in an effect that is not there. It is often a login or a rule.",
	}, problemsOf(NoEffect)},
	{Entry{
		"directive-deprecated", Low, "Lines that the next version does not know any more",
		"An upgrade then fails or, worse, starts without what the line protected. It is easier to change them before.",
	}, deprecated},
}
