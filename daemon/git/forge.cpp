#include "daemon/git/forge.h"

#include "daemon/outbound.h"

namespace hutch::daemon {

static OutboundCall outbound_of(ForgeCall call) {
    OutboundCall outbound;
    outbound.headers = {"Authorization: Bearer " + call.token, "Accept: application/vnd.github+json",
                        "Content-Type: application/json"};
    outbound.url = std::move(call.url);
    outbound.body = std::move(call.body);
    return outbound;
}

Task<Result<ForgeAnswer>> call_forge(Fetcher& fetcher, ForgeCall call) {
    CO_TRY_LET(OutboundAnswer answer, co_await call_out(fetcher, outbound_of(std::move(call))));
    co_return ForgeAnswer{answer.status, std::move(answer.body)};
}

}  // namespace hutch::daemon
