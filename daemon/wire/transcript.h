#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/wire/json.h"

namespace hutch::daemon {

/// Something an agent did, in the words of the API: text, thinking, tool, tool_result, or what a harness of its own
/// says besides.
struct AgentEvent {
    std::string name;
    Json data;
};

/// What a prompt came to.
struct AgentResult {
    std::string output;        ///< the last answer, whole
    int64_t input_tokens = 0;  ///< as the others never negative
    int64_t output_tokens = 0;
    int64_t cached_input_tokens = 0;
    double cost_usd = 0;
    bool cost_of_session = false;      ///< that is of all prompts of the session so far
    bool tokens_of_session = false;    ///< the three numbers of tokens are
    std::string session;               ///< to go on with; empty: it told none
    bool finished = false;             ///< it said itself that it is done
    std::optional<std::string> error;  ///< it said itself that it failed
    std::string plain;                 ///< the end of what it wrote between its events, in lines: a complaint, perhaps
};

/// The end of a program that may be started again within its run.
struct Attempt {
    int64_t number = 0;  ///< from 1
    int64_t exit_code = 0;
};
/// What the line that tells of it begins with: "1 0\n" is the rest.
constexpr std::string_view kAttemptMark = "\036hutch-attempt ";

/// Reads what an agent's program writes, as the pieces come, and tells it in the API's events. Reading the same again
/// from its beginning tells the same again: whoever comes late, or after a restart, makes one of their own.
class Transcript {
  public:
    using Take = std::function<void(AgentEvent)>;

    virtual ~Transcript() = default;

    /// More of the program's standard output.
    void feed(std::string_view piece, const Take& take);
    /// Its end: what is left is the last line.
    void end(const Take& take);
    /// Bytes of a line whose end has not come yet.
    [[nodiscard]] size_t pending() const { return line_.size(); }
    /// Of the last attempt; what it took is of all of them.
    [[nodiscard]] AgentResult result() const;
    /// One that has ended, with nothing after it so far.
    [[nodiscard]] const std::optional<Attempt>& ended() const { return ended_; }

  protected:
    /// One line, without its end. What is not understood is passed over: programs print more than they promise.
    virtual void read(std::string_view line, const Take& take) = 0;
    /// The program begins anew; `result_` is empty.
    virtual void restart() {}
    /// For a line that is no event.
    void note_plain(std::string_view line);
    AgentResult result_;

  private:
    static constexpr size_t kMostPlain = 8 * 1024;    ///< bytes; up to twice that are kept
    static constexpr size_t kLongestLine = 16 << 20;  ///< beyond that it is dropped, and with it one event
    void take_line(std::string_view line, const Take& take);
    void begin_attempt();

    std::string line_;
    bool dropping_ = false;
    AgentResult before_;  ///< of the attempts before: session and amounts
    std::optional<Attempt> ended_;
};

/// The object a line is; nothing for any other text, and for one beyond the bounds of parse_json().
std::optional<Json> object_of(std::string_view line);
/// Adds what was counted to a sum, which stays at the largest number that there is.
void add_to(int64_t& sum, int64_t counted);

}  // namespace hutch::daemon
