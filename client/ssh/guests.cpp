#include "client/ssh/guests.h"

namespace hutch::client {

bool Guests::may_enter(const std::string& address, Moment now) const {
    if (inside_ >= kMost || unknown_ >= kMostUnknown) return false;
    const auto same = by_address_.find(address);
    if (same != by_address_.end() && same->second >= kMostOfAddress) return false;
    const auto guessed = guesses_.find(address);
    return guessed == guesses_.end() || guessed->second.count < kMostWrongKeys ||
           now - guessed->second.since >= kWithin;
}

void Guests::enter(const std::string& address) {
    ++inside_;
    ++unknown_;
    ++by_address_[address];
}

void Guests::leave(const std::string& address, bool known) {
    --inside_;
    if (!known) --unknown_;
    const auto same = by_address_.find(address);
    if (--same->second == 0) by_address_.erase(same);
}

// Those of the minute before go at each, so that as many are kept as can guess in a minute.
void Guests::note_wrong_key(const std::string& address, Moment now) {
    std::erase_if(guesses_, [now](const auto& entry) { return now - entry.second.since >= kWithin; });
    Guesses& guesses = guesses_.try_emplace(address, Guesses{0, now}).first->second;
    ++guesses.count;
}

}  // namespace hutch::client
