#include "daemon/proxy/carry.h"

#include <algorithm>
#include <memory>

namespace hutch::daemon {
namespace {

constexpr size_t kIdleRoom = 1024;
constexpr size_t kMostRoom = 64 * 1024;

}  // namespace

Task<bool> carry(Wire& from, std::string begin, Put put) {
    std::string_view data = begin;
    std::unique_ptr<char[]> piece;
    for (size_t room = kIdleRoom;;) {
        if (!data.empty()) {
            const auto taken = co_await put(data);
            if (!taken.ok()) co_return false;
        }
        const bool full = data.size() == room;
        const size_t wanted = full ? std::min(4 * room, kMostRoom) : data.size() < room / 4 ? kIdleRoom : room;
        if (!piece || wanted != room) piece = std::make_unique_for_overwrite<char[]>(wanted);
        if (!begin.empty()) std::string().swap(begin);
        room = wanted;
        const auto came = co_await from.read_some(piece.get(), room, Wire::kForever);
        if (!came.ok()) co_return false;
        if (came.value() == 0) co_return true;
        data = std::string_view(piece.get(), came.value());
    }
}

}  // namespace hutch::daemon
