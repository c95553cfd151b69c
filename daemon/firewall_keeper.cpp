#include "daemon/firewall_keeper.h"

#include <algorithm>

#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr int kRetryMs = 500;

}  // namespace

Result<std::unique_ptr<FirewallKeeper>> FirewallKeeper::start(netns::Policies& policies, const netns::Config& config) {
    auto events = TRY(netns::NftEvents::open(config.table));
    std::unique_ptr<FirewallKeeper> keeper(new FirewallKeeper(policies, config.table, std::move(events)));
    // Of what others did between the loading of the table and now, nothing is told.
    const auto asking = TRY(netns::nft_socket());
    if (!policies.made({TRY(netns::nft_generation(asking.get())), 0, {}})) TRY(policies.restore());
    keeper->thread_ = TRY(FdThread::start("the keeper of the firewall", keeper->events_.fd(),
                                          [raw = keeper.get()] { return raw->look(); }));
    return keeper;
}

int FirewallKeeper::look() {
    const auto news = events_.take();
    std::string who = "somebody who changed too much at once to be followed";
    if (!news.ok()) {
        log_error("{}", news.error().message);
    } else if (news.value()) {
        const auto& commits = *news.value();
        const auto foreign = std::find_if(commits.begin(), commits.end(),
                                          [this](const netns::NftCommit& commit) { return !policies_.made(commit); });
        if (foreign == commits.end() && !failed_) return -1;
        if (foreign != commits.end()) who = foreign->program + " (process " + std::to_string(foreign->thread) + ")";
    }
    const auto restored = policies_.restore();
    if (!restored.ok() && !std::exchange(failed_, true)) {
        log_error("the firewall table inet {1} was changed by {0}; it cannot be put back, which is tried again: {2}",
                  who, table_, restored.error().message);
    }
    if (!restored.ok()) return kRetryMs;
    failed_ = false;
    log_warning("the firewall table inet {1} was changed by {0}; it was put back, with the policies of all boxes", who,
                table_);
    return -1;
}

}  // namespace hutch::daemon
