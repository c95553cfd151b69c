#include "daemon/refusal_listener.h"

#include <utility>

#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr std::pair<const char*, RefusedBy> kChains[] = {
    {"blocked", RefusedBy::kBlocked}, {"box_to_box", RefusedBy::kBlocked}, {"to_host", RefusedBy::kToHost},
    {"refused", RefusedBy::kPolicy},  {"too_many", RefusedBy::kPackets},   {"flows", RefusedBy::kFlows},
};

}  // namespace

Result<std::unique_ptr<RefusalListener>> RefusalListener::start(Refusals& refusals, const netns::KnownNames& names,
                                                                const netns::Config& config) {
    auto packets = TRY(netns::RefusedPackets::open(config.table));
    std::unique_ptr<RefusalListener> made(new RefusalListener(refusals, names, config, std::move(packets)));
    made->thread_ = TRY(FdThread::start("the listener to refused packets", made->packets_.fd(),
                                        [raw = made.get()] { return raw->look(); }));
    return made;
}

int RefusalListener::look() {
    constexpr int kRetryMs = 1000;
    auto packets = packets_.take();
    if (!packets.ok()) {
        if (!std::exchange(failed_, true)) log_error("{}", packets.error().message);
        return kRetryMs;
    }
    failed_ = false;
    for (netns::RefusedPacket& packet : *packets) {
        for (const auto& [chain, rule] : kChains) {
            if (packet.chain != chain || !range_.contains(packet.from)) continue;
            refusals_.note({.box = packet.from,
                            .rule = rule,
                            .protocol = std::move(packet.protocol),
                            .destination = packet.to,
                            .port = packet.port,
                            .name = names_.name_of(packet.from, packet.to)});
        }
    }
    return -1;
}

}  // namespace hutch::daemon
