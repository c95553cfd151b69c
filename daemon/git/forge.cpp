#include "daemon/git/forge.h"

#include "daemon/outbound.h"

namespace hutch::daemon {

Result<ForgeAnswer> call_forge(const ForgeCall& call) {
    OutboundCall outbound;
    outbound.url = call.url;
    outbound.headers = {"Authorization: Bearer " + call.token, "Accept: application/vnd.github+json",
                        "Content-Type: application/json"};
    outbound.body = call.body;
    OutboundAnswer answer = TRY(call_out(outbound));
    return ForgeAnswer{answer.status, std::move(answer.body)};
}

}  // namespace hutch::daemon
