#include "daemon/uid_slots.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <climits>

#include "base/file.h"

namespace hutch::daemon {
namespace {

Result<std::string> read_link_at(int dir, const std::string& name) {
    char target[NAME_MAX + 1];
    const ssize_t length = readlinkat(dir, name.c_str(), target, sizeof(target));
    if (length < 0) return errno_error("reading the claim of user ids " + name);
    return std::string(target, static_cast<size_t>(length));
}

}  // namespace

Result<UidSlots> UidSlots::open(const std::string& claims, std::string name) {
    TRY(make_dirs_at(AT_FDCWD, claims, 0755));
    UniqueFd directory = TRY(open_at(AT_FDCWD, claims, O_RDONLY | O_DIRECTORY));
    return UidSlots(std::move(directory), claims, std::move(name));
}

Result<std::string> UidSlots::claim(int64_t slot) const {
    const std::string link = std::to_string(slot);
    // A link is made whole or not at all, and tells its owner without being opened.
    if (symlinkat(name_.c_str(), directory_.get(), link.c_str()) == 0) return name_;
    if (errno != EEXIST) return errno_error("claiming user ids in " + claims_);
    return read_link_at(directory_.get(), link);
}

Result<int64_t> UidSlots::take() {
    for (auto& [first, count, last] : halves_) {
        for (int64_t looked = 0; looked < count; ++looked) {
            last = (last + 1) % count;
            const int64_t slot = first + last;
            if (used_.contains(slot) || TRY(claim(slot)) != name_) continue;
            used_.insert(slot);
            return slot;
        }
    }
    return Error{ErrorKind::kLimit, 0, "every range of user ids is in use; delete boxes first"};
}

Result<std::string> UidSlots::reserve(int64_t slot) {
    std::string owner = TRY(claim(slot));
    if (owner != name_) return owner;
    used_.insert(slot);
    return std::string();
}

void UidSlots::release(int64_t slot) {
    if (used_.erase(slot) > 0) unlinkat(directory_.get(), std::to_string(slot).c_str(), 0);
}

Result<void> UidSlots::drop_leftovers() const {
    auto claims = TRY(claimed_uid_slots(claims_));
    for (const int64_t slot : claims[name_]) {
        if (!used_.contains(slot)) unlinkat(directory_.get(), std::to_string(slot).c_str(), 0);
    }
    return {};
}

Result<std::map<std::string, std::set<int64_t>>> claimed_uid_slots(const std::string& claims) {
    const UniqueFd directory = TRY(open_at(AT_FDCWD, claims, O_RDONLY | O_DIRECTORY));
    std::map<std::string, std::set<int64_t>> found;
    for (const std::string& link : TRY(names_in(directory.get()))) {
        int64_t slot = 0;
        const auto [end, failed] = std::from_chars(link.data(), link.data() + link.size(), slot);
        const auto owner = read_link_at(directory.get(), link);  // another daemon may give it back meanwhile
        if (failed == std::errc() && end == link.data() + link.size() && owner.ok()) found[owner.value()].insert(slot);
    }
    return found;
}

}  // namespace hutch::daemon
