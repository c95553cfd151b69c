#include "daemon/outbound.h"

#include "base/text.h"

namespace hutch::daemon {
namespace {

constexpr long kSeconds = 30;
constexpr size_t kMostAnswer = 4 * 1024 * 1024;  // bytes

FetchCall fetch_of(OutboundCall call) {
    FetchCall fetch;
    fetch.method = call.body.empty() ? "GET" : "POST";
    fetch.url = std::move(call.url);
    fetch.headers = std::move(call.headers);
    fetch.body = std::move(call.body);
    fetch.to_private = call.to_private;
    fetch.alone = true;
    fetch.authorities = std::move(call.authorities);
    fetch.seconds = kSeconds;
    return fetch;
}

}  // namespace

Task<Result<OutboundAnswer>> call_out(Fetcher& fetcher, OutboundCall call) {
    const std::string origin = origin_of(call.url);
    Fetch fetch = fetcher.start(fetch_of(std::move(call)));
    OutboundAnswer answer;
    CO_TRY_LET(const Fetch::Head head, co_await fetch.head());
    answer.status = head.status;
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await fetch.read());
        if (piece.empty()) co_return answer;
        answer.body += piece;
        if (answer.body.size() > kMostAnswer) {
            co_return Error{ErrorKind::kConflict, 0, "calling " + origin + ": its answer is larger than 4 MiB"};
        }
    }
}

}  // namespace hutch::daemon
