#include "daemon/proxy/box_server.h"

#include "daemon/log.h"

namespace hutch::daemon {

constexpr std::chrono::seconds kPortPatience{30};

BoxServer::BoxServer(Previews& previews, Dialer& dialer, Previews::Found found, Arrival arrival)
    : previews_(previews), dialer_(dialer), found_(std::move(found)), arrival_(std::move(arrival)) {}

Task<Result<Wire>> BoxServer::connect() {
    use_.emplace(found_.box);
    CO_TRY_LET(auto socket,
               co_await dialer_.dial(found_.box, found_.preview.port, Moment::clock::now() + kPortPatience));
    co_return Wire(std::move(socket), nullptr);
}

Refused BoxServer::refusal_of(const Error& error) const {
    switch (error.kind) {
        case ErrorKind::kNotFound:
            return {404, "There is nothing here: the box has been deleted."};
        case ErrorKind::kTimeout:
            return {503, error.message, kRetryLater};
        case ErrorKind::kLimit:
        case ErrorKind::kConflict:
            return {503, "This box cannot take a request now.", kRetryLater};
        default:
            log_warning("a request by a public URL: {}", error.message);
            return {503, "This box cannot be reached now.", kRetryLater};
    }
}

std::string BoxServer::head_of(const boost::beast::http::header<true>& request, const BodyFraming& body) const {
    return head_to_box(request, arrival_, body);
}

Task<Result<void>> BoxServer::ready() {
    co_return co_await dialer_.wake(found_.box);
}

void BoxServer::count(size_t sent, size_t received) {
    previews_.count(*found_.box, sent, received);
}

}  // namespace hutch::daemon
