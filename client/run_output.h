#pragma once

#include <functional>
#include <optional>
#include <string>

#include "client/api.h"

namespace hutch::client {

/// A run, and how much of what it says has been passed on.
struct RunPlace {
    std::string box;
    std::string run;
    uint64_t output = 0;  ///< bytes
    uint64_t errors = 0;
};

/// Passes what a run says on, each stream to the one of its name. Over a connection that is lost, as by a daemon that
/// is replaced, it goes on where it was.
class RunOutput {
  public:
    /// Called once when nobody reads any more what is passed on.
    using Closed = std::function<void()>;

    RunOutput(const Api& api, RunPlace place, Closed closed)
        : api_(api), place_(std::move(place)), closed_(std::move(closed)) {}

    /// From a framed answer, or from the next ones: the data of the end. An error when the connection is lost for good,
    /// which names the run.
    Result<Json> follow(Response first);
    /// From the beginning of what is kept.
    Result<Json> follow();

  private:
    Result<std::optional<Json>> take(Response& response);
    Result<void> pass_on(int fd, std::string_view bytes);
    [[nodiscard]] Result<Response> ask() const;
    Result<Response> ask_again();

    const Api& api_;
    RunPlace place_;
    Closed closed_;
    bool closed_told_ = false;
    bool lost_told_ = false;
    std::optional<Error> unwritten_;  ///< why something could not be passed on, other than that nobody reads
};

/// How the end says the command ended: its exit code. What its output does not tell is said in a sentence on standard
/// error, about `what`.
Result<int> exit_code_of(const Json& ending, const std::string& what);

}  // namespace hutch::client
