// Package protect seals and opens MQTT messages under the profile MQTT1: the
// payload of PUBLISH and Will, and the Password of CONNECT, with COSE.
//
// A Sealer turns a payload into one of the forms of the profile: MAC, signature,
// encryption under a shared key (random nonces, mode R, or derived session keys,
// mode S), encryption to one or more public keys, and a signature inside an
// encryption. An Opener accepts exactly those forms, in the order of checks the
// profile fixes, keeps the replay state, applies the topic policy and reports
// who and what was verified.
//
// Opening has three outcomes a caller can tell apart: ErrUnknownKey (not for
// me), ErrPolicy (not protected as demanded, or not fresh), and ErrOpen, one
// value for everything that does not parse or does not verify, so that nothing
// is an oracle. A failure leaves no trace in the replay state.
//
// DESIGN.md has the concepts, the state and its owner, and the decisions.
package protect
