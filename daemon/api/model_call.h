#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hutch::daemon {

/// What a box may ask of a model's API by the operator's or its customer's key: an answer, while it waits for it. All
/// else that a key opens (files, batches and answers in the background, which outlive the run, accounts, bills) is not
/// an agent's. Pure.

/// Whether a call of this method and path is one.
bool is_model_call(const std::string& method, const std::string& path);

/// Whether the provider is told this header (its name in lower case): a list of what programs need. One that names an
/// organisation, a project or a user decides who pays, and is not theirs to choose.
bool is_told_to_provider(const std::string& name);

/// Looks through the body of a call as it comes: whether it wants to be answered in the background. Its work is linear
/// in the bytes, its memory fixed.
class BackgroundScan {
  public:
    void feed(std::string_view piece);
    /// The sentence with which the call is refused. Nothing when it is fine, as far as it has come.
    [[nodiscard]] const std::optional<std::string>& refusal() const { return refusal_; }

  private:
    void take(char c);
    void take_in_string(char c);
    void take_outside(char c);

    enum class Escape { kNo, kBegun, kUnicode };
    std::optional<std::string> refusal_;
    size_t depth_ = 0;
    bool in_string_ = false;
    Escape escape_ = Escape::kNo;
    std::string unicode_;  ///< the hexadecimal digits of an escape, so far
    std::string last_;     ///< the beginning of the last string at the top, without its escapes
    bool awaits_ = false;  ///< the value of "background" comes next
    bool ended_ = false;
};

}  // namespace hutch::daemon
