// The calls of the contract that this version cannot answer yet. A client learns that it is the daemon's fault and not
// its own: 404 would read as a box that is not there.

#include "daemon/api/resources.h"

namespace hutch::daemon {

void add_unbuilt_routes(Router& router) {
    struct Call {
        const char* method;
        const char* path;
    };
    static const Call kCalls[] = {
        {"GET", "/v2/box/{id}/browser/{call}"},          {"POST", "/v2/box/{id}/browser/{call}"},
        {"PUT", "/v2/box/{id}/browser/{call}"},          {"PATCH", "/v2/box/{id}/browser/{call}"},
        {"DELETE", "/v2/box/{id}/browser/{call}"},       {"GET", "/v2/box/{id}/browser/{call}/{part}"},
        {"POST", "/v2/box/{id}/browser/{call}/{part}"},  {"PUT", "/v2/box/{id}/browser/{call}/{part}"},
        {"PATCH", "/v2/box/{id}/browser/{call}/{part}"}, {"DELETE", "/v2/box/{id}/browser/{call}/{part}"},
    };
    for (const Call& call : kCalls) {
        router.add(
            call.method, call.path, [](Exchange& exchange, const Params&) -> Task<Result<std::optional<Response>>> {
                const Request& request = exchange.request();
                co_return Error{ErrorKind::kUnsupported, 0,
                                request.method + " " + request.path + ": this version of hutchd has no such call yet"};
            });
    }
}

}  // namespace hutch::daemon
