#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/io/model_folder.hpp"
#include "mpi/communicator.hpp"

namespace diffuse {

/// Where a model lies: the arguments of ModelFolder::open.
struct ModelPlace {
  std::string model;
  ModelOptions options;
};

/// One file of a model and its path below a folder that holds a copy.
struct StagedFile {
  std::filesystem::path from, to;
};

/// The files that a run with this model reads, and nothing else of its folder (a hub snapshot may
/// also hold other precisions and formats). A VAE and a tokenizer from elsewhere are among them.
std::vector<StagedFile> staged_files(const ModelFolder& model, const ModelPlace& place);

/// Copies the model to `stage_dir`, a folder on a disk of each node's own, and says where the copy
/// lies. Collective; one rank a node reads and copies, the others never open the original. The copy
/// is named after the model's fingerprint, appears whole by rename, and stays: the next run on the
/// node finds it and reads the original on rank 0 alone. A copy that is no longer whole is made
/// anew. Throws AgreedEnd (bad_model) on every rank if one node cannot copy, or if a node's model
/// differs from rank 0's.
ModelPlace stage_model(const mpi::Communicator& comm, const ModelPlace& place,
                       const std::string& stage_dir);

/// Whether a file system of this type (statfs's f_type) is reached over a network.
bool is_network_file_system(long type);

/// Where several ranks of a node are about to map a model that lies on a network file system, the
/// node's first rank reads its weights once from end to end; the others find them in the node's
/// page cache. Collective; does nothing elsewhere. A failure to read is left to those who map the
/// files.
void read_weights_once_per_node(const mpi::Communicator& comm, const ModelFolder& model);

}  // namespace diffuse
