// What a box has changed.

#include <set>

#include "daemon/snapshots/snapshots.h"

namespace hutch::daemon {
namespace {

// What init makes at each start: places to mount on that an image lacks, and files that it writes anew.
bool is_of_init(const overlayfs::Change& change) {
    static const std::set<std::string> kMountPoints = {"dev", "proc", "sys", "tmp"};
    static const std::set<std::string> kWritten = {"etc/hostname", "etc/hosts", "etc/resolv.conf"};
    const bool added = change.kind == overlayfs::Change::Kind::kAdded;
    const bool written = added || change.kind == overlayfs::Change::Kind::kModified;
    return (added && kMountPoints.contains(change.path)) || (written && kWritten.contains(change.path));
}

constexpr size_t kMostChanges = 500'000;  // in one answer

}  // namespace

Task<Result<std::vector<overlayfs::Change>>> Snapshots::diff(std::shared_ptr<Box> box, std::vector<std::string> base) {
    const overlayfs::Stack now{box->record.id, box->record.layers};
    // A box or a snapshot that goes, or is flattened, must not take them away meanwhile.
    const InHand held(*this, now.layers);
    const InHand held_base(*this, base);
    std::vector<overlayfs::Change> changes;
    const auto take = [&](const overlayfs::Change& change) -> Result<void> {
        if (changes.size() >= kMostChanges) {
            return Error{
                ErrorKind::kTooLarge, 0,
                "the box has changed more than " + std::to_string(kMostChanges) + " files, the most that are listed"};
        }
        if (!is_of_init(change)) changes.push_back(change);
        return {};
    };
    CO_TRY(co_await adders_.run(
        [&] { return overlayfs::diff(boxes_.mechanisms().store, now, base, stop_.get_token(), take); }));
    co_return changes;
}

}  // namespace hutch::daemon
