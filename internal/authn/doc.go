// Package authn decides who a client is.
//
// A Login asks its methods in a fixed order; the first that recognises what the client brought decides, and nobody asks
// a second one. The methods are client certificates, pre-shared keys, SCRAM, JSON Web Tokens and passwords; a client
// that brings nothing may be anonymous on loopback. In front of all of them stand the lockout, which counts failures by
// address and by address with user name, and the rule that a password does not cross a network in clear text.
//
// Clients learn a class of failure and nothing else: an unknown name and a wrong password cost the same and look the
// same. The log learns from a Refusal which method refused, what it checked, what it expected and what it found.
package authn
