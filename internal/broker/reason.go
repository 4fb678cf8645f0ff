package broker

import (
	"errors"

	"github.com/sealmq/sealmq/internal/identity"
	"github.com/sealmq/sealmq/internal/store"
	"github.com/sealmq/sealmq/mqtt"
	"github.com/sealmq/sealmq/topic"
)

// The broker's own refusals. Each has a row in reasonOf.
var (
	errNotAuthorized   = errors.New("not authorized")
	errSessionTaken    = errors.New("session taken over")
	errShuttingDown    = errors.New("server shutting down")
	errKeepAlive       = errors.New("keep alive timeout")
	errPacketTimeout   = errors.New("packet not complete in time")
	errConnectTimeout  = errors.New("no complete connect in time")
	errTooManyOpen     = errors.New("receive maximum exceeded")
	errTooLarge        = errors.New("packet too large")
	errRate            = errors.New("message rate too high")
	errQuota           = errors.New("quota exceeded")
	errTooManyFilters  = errors.New("too many subscriptions")
	errProtocol        = errors.New("protocol error")
	errAliasInvalid    = errors.New("topic alias invalid")
	errServerBusy      = errors.New("server busy")
	errBadMethod       = errors.New("bad authentication method")
	errBadCredentials  = errors.New("bad user name or password")
	errBanned          = errors.New("banned")
	errSlowConsumer    = errors.New("client does not read")
	errAdministrative  = errors.New("administrative action")
	errPanicked        = errors.New("internal error")
	errNotConnect      = errors.New("first packet is not connect")
	errReauthenticated = errors.New("re-authentication failed")
	errLoginExpired    = errors.New("login expired")
	errTooDeep         = errors.New("topic has too many levels")
	errClosedByClient  = errors.New("disconnected by the client")
	errUnreadable      = errors.New("stored messages cannot be read")
	errUnrecorded      = errors.New("login cannot be recorded")
	errUnknownID       = errors.New("packet identifier not found")

	// The refusals of a payload policy. What does not parse and what does not verify are one.
	errPayload           = errors.New("payload format invalid")
	errPayloadNotAllowed = errors.New("payload not allowed")
	errPayloadKey        = errors.New("payload key or sequence not accepted")
)

// reason is what is known about one of the broker's errors.
type reason struct {
	err   error
	code  mqtt.ReasonCode
	layer Layer  // 0: the end of a connection that refuses nothing
	limit string // with LayerLimit: the key of the configuration, unless the error names another
}

// reasons is the only table from errors to reason codes. An error that is not in it closes the connection with
// Unspecified error (0x80): no refusal can fall through.
var reasons = []reason{
	{errNotAuthorized, mqtt.NotAuthorized, LayerAccess, ""},
	{errSessionTaken, mqtt.SessionTakenOver, 0, ""},
	{errShuttingDown, mqtt.ServerShuttingDown, 0, ""},
	{errKeepAlive, mqtt.KeepAliveTimeout, 0, ""},
	{errPacketTimeout, mqtt.MaximumConnectTime, LayerLimit, "limits.packet_timeout"},
	{errConnectTimeout, mqtt.MaximumConnectTime, LayerLimit, "limits.connect_timeout"},
	{errTooManyOpen, mqtt.ReceiveMaximumExceeded, LayerLimit, "limits.receive_maximum"},
	{errTooLarge, mqtt.PacketTooLarge, LayerLimit, "limits.packet"},
	{errRate, mqtt.MessageRateTooHigh, LayerLimit, "limits.publish_rate.per_client"},
	{errQuota, mqtt.QuotaExceeded, LayerLimit, "limits.queue.messages"},
	{errTooManyFilters, mqtt.QuotaExceeded, LayerLimit, "limits.filters_per_subscribe"},
	{errProtocol, mqtt.ProtocolError, LayerProtocol, ""},
	{errAliasInvalid, mqtt.TopicAliasInvalid, LayerProtocol, ""},
	{errServerBusy, mqtt.ServerBusy, LayerLimit, "auth.password.hash_queue"},
	{errBadMethod, mqtt.BadAuthenticationMethod, LayerLogin, ""},
	{errBadCredentials, mqtt.BadUserNameOrPassword, LayerLogin, ""},
	{errBanned, mqtt.Banned, LayerLogin, ""},
	{errSlowConsumer, mqtt.QuotaExceeded, LayerLimit, "limits.queue.bytes"},
	{errAdministrative, mqtt.AdministrativeAction, 0, ""},
	{errPanicked, mqtt.ImplementationSpecificError, 0, ""},
	{errNotConnect, mqtt.ProtocolError, LayerProtocol, ""},
	{errReauthenticated, mqtt.NotAuthorized, LayerLogin, ""},
	{errLoginExpired, mqtt.NotAuthorized, LayerLogin, ""},
	{errTooDeep, mqtt.TopicNameInvalid, LayerLimit, "limits.topic_levels"},
	{errClosedByClient, mqtt.NormalDisconnection, 0, ""},
	{errUnreadable, mqtt.ImplementationSpecificError, 0, ""},
	{errUnrecorded, mqtt.ServerUnavailable, LayerLimit, "audit.on_failure"},
	{errUnknownID, mqtt.PacketIdentifierNotFound, LayerProtocol, ""},
	{errPayload, mqtt.PayloadFormatInvalid, LayerPayload, ""},
	{errPayloadNotAllowed, mqtt.NotAuthorized, LayerPayload, ""},
	{errPayloadKey, mqtt.ImplementationSpecificError, LayerPayload, ""},
	{store.ErrFull, mqtt.QuotaExceeded, LayerLimit, "storage"},
}

// reasonOf turns an error into the reason code the client may see.
func reasonOf(err error) mqtt.ReasonCode {
	var me *mqtt.Error
	if errors.As(err, &me) {
		return me.Code
	}
	var te *topic.Error
	if errors.As(err, &te) {
		return topicReason(te)
	}
	if row := reasonRow(err); row != nil {
		return row.code
	}
	return mqtt.UnspecifiedError
}

// reasonRow finds what is known about an error; nil when nothing is.
func reasonRow(err error) *reason {
	for i := range reasons {
		if errors.Is(err, reasons[i].err) {
			return &reasons[i]
		}
	}
	return nil
}

// LoginCode is what an MQTT 5 client is told about a class of failed login.
func LoginCode(f identity.Failure) mqtt.ReasonCode { return reasonOf(failureError(f)) }

// failureError is the broker's error for a class of failed login.
func failureError(f identity.Failure) error {
	switch f {
	case identity.NotPermitted:
		return errNotAuthorized
	case identity.BadMethod:
		return errBadMethod
	case identity.Busy:
		return errServerBusy
	case identity.Banned:
		return errBanned
	default:
		return errBadCredentials
	}
}
