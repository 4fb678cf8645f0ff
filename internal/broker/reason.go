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
	errClientID        = errors.New("client identifier not valid")
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
	errUnknownID       = errors.New("packet identifier not found")
)

// reasons is the only table from errors to reason codes. An error that is not in it closes the connection with
// Unspecified error (0x80): no refusal can fall through.
var reasons = []struct {
	err  error
	code mqtt.ReasonCode
}{
	{errNotAuthorized, mqtt.NotAuthorized},
	{errSessionTaken, mqtt.SessionTakenOver},
	{errShuttingDown, mqtt.ServerShuttingDown},
	{errKeepAlive, mqtt.KeepAliveTimeout},
	{errPacketTimeout, mqtt.MaximumConnectTime},
	{errConnectTimeout, mqtt.MaximumConnectTime},
	{errTooManyOpen, mqtt.ReceiveMaximumExceeded},
	{errTooLarge, mqtt.PacketTooLarge},
	{errRate, mqtt.MessageRateTooHigh},
	{errQuota, mqtt.QuotaExceeded},
	{errTooManyFilters, mqtt.QuotaExceeded},
	{errProtocol, mqtt.ProtocolError},
	{errAliasInvalid, mqtt.TopicAliasInvalid},
	{errServerBusy, mqtt.ServerBusy},
	{errClientID, mqtt.ClientIdentifierNotValid},
	{errBadMethod, mqtt.BadAuthenticationMethod},
	{errBadCredentials, mqtt.BadUserNameOrPassword},
	{errBanned, mqtt.Banned},
	{errSlowConsumer, mqtt.QuotaExceeded},
	{errAdministrative, mqtt.AdministrativeAction},
	{errPanicked, mqtt.ImplementationSpecificError},
	{errNotConnect, mqtt.ProtocolError},
	{errReauthenticated, mqtt.NotAuthorized},
	{errLoginExpired, mqtt.NotAuthorized},
	{errTooDeep, mqtt.TopicNameInvalid},
	{errClosedByClient, mqtt.NormalDisconnection},
	{errUnreadable, mqtt.ImplementationSpecificError},
	{errUnknownID, mqtt.PacketIdentifierNotFound},
	{store.ErrFull, mqtt.QuotaExceeded},
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
	for i := range reasons {
		if errors.Is(err, reasons[i].err) {
			return reasons[i].code
		}
	}
	return mqtt.UnspecifiedError
}

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
