// What a call that makes boxes has them get besides.

#include "daemon/api/resources.h"

namespace hutch::daemon {

bool Furnishing::any() const {
    return attached.any || agent.agent || agent.mcp_servers || !agent.skills.empty() || !identity.name.empty() ||
           !identity.email.empty() || !like.empty();
}

Result<Furnishing> decode_furnishing(const Services& services, const Fields& fields, CreateBox& command) {
    return Furnishing{.attached = TRY(decode_attached(services, fields, command)),
                      .agent = TRY(decode_agent(fields)),
                      .identity = TRY(decode_identity(fields))};
}

Task<Result<void>> furnish(Services& services, std::vector<std::shared_ptr<Box>> boxes, Furnishing furnishing) {
    CO_TRY(co_await attach(services, boxes, std::move(furnishing.attached)));
    CO_TRY(co_await equip(services, boxes, std::move(furnishing.agent), std::move(furnishing.like)));
    co_return co_await introduce(services, boxes, std::move(furnishing.identity));
}

}  // namespace hutch::daemon
