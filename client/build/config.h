#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/build/plan.h"
#include "client/build/words.h"

namespace hutch::client {

/// What a stage has said so far besides files: what the next steps see of it, and what the image is to say.
struct ImageConfig {
    std::string base_user, base_workdir;  ///< of the image it stands on
    std::vector<Pair> env{};              ///< in the order they were first set
    std::string user{};                   ///< said by a USER of the file, or of the image's maker; empty: neither
    std::string workdir{};                ///< the same; absolute
    std::vector<std::string> shell{"/bin/sh", "-c"};
    std::vector<std::string> entrypoint{}, cmd{};
    std::map<std::string, std::string> labels{};
    std::vector<std::string> ports{};

    void set(const std::string& name, const std::string& value);
    /// Who RUN runs as, and where. Hutch's own images have boxuser in /workspace/home for boxes; what is built on them
    /// is built by root in /, as everywhere else.
    [[nodiscard]] std::string run_user() const;
    [[nodiscard]] std::string run_folder() const;
};

/// A stage's words, from its FROM on.
class StageWords {
  public:
    StageWords(const BuildPlan& plan, ImageConfig config) : plan_(plan), config_(std::move(config)) {}

    /// An instruction that makes no file; what it does not do here is told in a sentence, if anything.
    Result<std::string> apply(const Instruction& one);
    /// Expanded as docker does it, with errors that name the line.
    [[nodiscard]] Result<std::string> expanded(const Instruction& one, std::string_view text) const;
    /// The words of a COPY, ADD and the like: of the JSON form, or parted at blanks.
    [[nodiscard]] Result<std::vector<std::string>> words(const Instruction& one) const;
    /// Of a path in the image: absolute, from where WORKDIR is.
    [[nodiscard]] std::string absolute(const std::string& path) const;
    /// What RUN sees: ENV, and the ARGs of this stage that no ENV hides.
    [[nodiscard]] std::vector<Pair> run_env() const;
    [[nodiscard]] const ImageConfig& config() const { return config_; }
    /// For one with heredocs: whether a word is the mark of one.
    [[nodiscard]] static const Heredoc* heredoc_of(const Instruction& one, const std::string& word);

  private:
    Result<void> set_argument(const Instruction& one);
    Result<void> set_pairs(const Instruction& one);
    Result<void> set_ports(const Instruction& one);
    Result<std::vector<std::string>> command_of(const Instruction& one) const;
    [[nodiscard]] std::optional<std::string> value_of(const std::string& name) const;

    const BuildPlan& plan_;
    ImageConfig config_;
    std::map<std::string, std::string> arguments_;
    bool cmd_said_ = false;
};

/// Whether it makes or changes files, so that it is a step of its own.
bool makes_files(const Instruction& one);

}  // namespace hutch::client
