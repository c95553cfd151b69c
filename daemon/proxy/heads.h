#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "daemon/store/records.h"

namespace hutch::daemon {

/// How the end of a body is told, by who writes it.
struct BodyFraming {
    enum class Kind { kNone, kLength, kChunked, kToEnd } kind = Kind::kNone;
    uint64_t length = 0;  ///< of kLength, and of kNone where a head tells one of a body that is not there
    bool told = false;    ///< of kNone: it does
};

/// How a request has come here.
struct Arrival {
    std::string address;  ///< of the client
    bool tls = false;
    bool web_socket = false;        ///< it asks for one
    bool keeps_credential = false;  ///< its Authorization is for the box
};

/// Whether a request is the handshake of a WebSocket: the only protocol that is changed to here.
bool asks_for_web_socket(const boost::beast::http::header<true>& request);
bool is_web_socket_answer(const boost::beast::http::header<false>& answer);

/// The head of a request as the box gets it: written anew from what one parser has understood, with Host as it was,
/// without what is between client and proxy (RFC 9110, 7.6.1), and with our word on where it comes from in place of
/// what the client said of that. It asks for the end of the connection: each request has one of its own, so that no
/// answer, however it is framed, is taken for that of another.
std::string head_to_box(const boost::beast::http::header<true>& request, const Arrival& arrival,
                        const BodyFraming& body);

/// The head of a request of a box's as a server outside gets it: written anew likewise, with `attached` in place of
/// what the box has sent by the same names.
std::string head_to_host(const boost::beast::http::header<true>& request, const Pairs& attached, bool web_socket,
                         const BodyFraming& body);

/// The head of a request as another host of the fleet gets it, on a connection that stays: as head_to_host() writes it,
/// with our word on who asks in `told`, and without keys.
std::string head_to_peer(const boost::beast::http::header<true>& request, const Pairs& told, bool web_socket,
                         const BodyFraming& body);

/// The head of an answer as the client gets it. `version`: the client's, 10 or 11.
std::string head_to_client(const boost::beast::http::header<false>& answer, const BodyFraming& body, unsigned version,
                           bool stays);

}  // namespace hutch::daemon
