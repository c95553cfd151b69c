#pragma once

#include <array>
#include <string>
#include <vector>

#include "daemon/histogram.h"

namespace hutch::daemon {

/// What a call is about, as the log and the figures tell calls apart.
enum class CallKind {
    kRead,    ///< changes nothing
    kCreate,  ///< makes boxes
    kExec,    ///< runs a command or a piece of code in a box
    kWork,    ///< is other work in a box: files, git, prompts
    kChange,  ///< makes, changes or deletes what is there besides
};
CallKind kind_of_call(const std::string& method, const std::string& path);

/// What came of it.
enum class CallEnd {
    kOk,
    kRefused,  ///< 4xx: its caller's to mend
    kFailed,   ///< 5xx
    kLeft,     ///< its client was gone before
};
CallEnd end_of_call(int status);
const char* name_of(CallEnd end);
constexpr std::array kCallEnds = {CallEnd::kOk, CallEnd::kRefused, CallEnd::kFailed, CallEnd::kLeft};

/// How long things took since the daemon began, by what came of them. Event loop thread only.
class Timings {
  public:
    static constexpr std::array kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,  0.25,
                                           0.5,   1.0,    2.5,   5.0,  10.0,  60.0, 600.0};  ///< seconds
    enum class What { kHttp, kCreate, kExec, kWake };

    void add(What what, CallEnd end, std::chrono::nanoseconds time) { of(what)[static_cast<size_t>(end)].add(time); }
    /// A call, as what it is besides too.
    void add(CallKind kind, CallEnd end, std::chrono::nanoseconds time);
    [[nodiscard]] const Histogram& of(What what, CallEnd end) const {
        return all_[static_cast<size_t>(what)][static_cast<size_t>(end)];
    }

  private:
    using Ends = std::array<Histogram, kCallEnds.size()>;
    Ends& of(What what) { return all_[static_cast<size_t>(what)]; }
    static Ends none() { return {Histogram(kBounds), Histogram(kBounds), Histogram(kBounds), Histogram(kBounds)}; }
    std::array<Ends, 4> all_ = {none(), none(), none(), none()};
};

}  // namespace hutch::daemon
