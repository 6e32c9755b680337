#include "engine/style/checkpoint.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/hdf5.h"
#include "engine/core/new_file.h"
#include "engine/options/options.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;
using hdf5::Handle;
using hdf5::own;

static_assert(std::endian::native == std::endian::little, "checkpoints hold the bytes of this machine");
constexpr std::size_t kUserBlock = 512;  // bytes; the smallest that HDF5 allows
constexpr const char* kMagic = "impasto checkpoint 1\nsha256 ";
// What a reader believes at most: far above what is ever written.
constexpr std::size_t kMaxEntries = 4096, kMaxText = 60'000, kMaxTensors = 64;
constexpr hsize_t kMaxNumbers = 100'000;

Error bad(const std::string& what, const std::string& expected, const std::string& found) {
  return {ErrorCode::kBadInput, what + ": expected " + expected + ", found " + found};
}
Error system_error(const std::string& what, const std::string& expected) {
  return bad(what, expected, std::strerror(errno));
}
Error not_ours(const std::string& what, const std::string& detail) {
  return bad(what, "a checkpoint of this program", "one with an unusable part (" + detail + ")");
}

/// SHA-256, in hex, of what follows the user block.
std::string digest_of(const std::string& what, const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(kUserBlock);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool ok = file && hash && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1;
  std::vector<char> block(1 << 20);
  while (ok && file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    ok = EVP_DigestUpdate(hash.get(), block.data(), static_cast<std::size_t>(file.gcount())) == 1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  ok = ok && file.eof() && EVP_DigestFinal_ex(hash.get(), digest.data(), &size) == 1;
  if (!ok) throw bad(what, "a readable file", "one that cannot be read");
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += "0123456789abcdef"[digest[i] >> 4];
    hex += "0123456789abcdef"[digest[i] & 15];
  }
  return hex;
}

/// The user block of a file whose rest is as it is now.
std::string user_block(const std::string& what, const fs::path& path) {
  std::string block = kMagic + digest_of(what, path) + "\n";
  block.resize(kUserBlock, '\0');
  return block;
}

// --- writing

void write_attribute(hid_t object, const std::string& name, hid_t type, const void* value,
                     const std::string& message) {
  const Handle space = own(H5Screate(H5S_SCALAR), message);
  const Handle attribute =
      own(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), message);
  hdf5::check(H5Awrite(attribute, type, value), message);
}

void write_texts(hid_t file, const char* group_name, const std::map<std::string, std::string>& texts,
                 const std::string& message) {
  const Handle group = own(H5Gcreate2(file, group_name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), message);
  for (const auto& [name, text] : texts) {
    const Handle type = own(H5Tcopy(H5T_C_S1), message);
    hdf5::check(H5Tset_size(type, std::max<std::size_t>(text.size(), 1)), message);
    hdf5::check(H5Tset_strpad(type, H5T_STR_NULLPAD), message);
    hdf5::check(H5Tset_cset(type, H5T_CSET_UTF8), message);
    write_attribute(group, name, type, text.c_str(), message);
  }
}

/// Bytes that belong at a place in the file.
struct Piece {
  std::uint64_t offset = 0;
  const void* data = nullptr;
  std::size_t bytes = 0;
};

/// Gives a dataset its room in the file, and tells where that is.
Piece reserve_dataset(hid_t group, const std::string& name, hid_t type, const std::vector<hsize_t>& dims,
                      const void* data, const std::string& message) {
  const Handle space = own(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), message);
  const Handle creation = own(H5Pcreate(H5P_DATASET_CREATE), message);
  hdf5::check(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), message);
  hdf5::check(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), message);
  const Handle dataset =
      own(H5Dcreate2(group, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), message);
  const haddr_t offset = H5Dget_offset(dataset);
  std::size_t bytes = H5Tget_size(type);
  for (const hsize_t size : dims) bytes *= size;
  if (bytes > 0 && offset == HADDR_UNDEF) throw Error(ErrorCode::kBadInput, message);
  return {offset, data, bytes};
}

hid_t file_type(DType dtype) { return dtype == DType::kFloat64 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE; }

/// The file without the data of its datasets, and where those belong. They are written past HDF5, which does
/// not survive a disk that is full: after a close that failed, it crashes when the process ends.
std::vector<Piece> write_structure(const fs::path& path, const Checkpoint& c, const std::string& message) {
  std::vector<Piece> pieces;
  const hdf5::SilenceErrors silence;
  const Handle creation = own(H5Pcreate(H5P_FILE_CREATE), message);
  hdf5::check(H5Pset_userblock(creation, kUserBlock), message);
  Handle file = own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, H5P_DEFAULT), message);
  write_attribute(file, "scale", H5T_STD_I64LE, &c.scale, message);
  write_attribute(file, "iteration", H5T_STD_I64LE, &c.iteration, message);
  write_attribute(file, "seconds", H5T_IEEE_F64LE, &c.seconds, message);
  write_texts(file, "options", c.options, message);
  write_texts(file, "inputs", c.inputs, message);
  if (!c.device.empty()) write_texts(file, "device", c.device, message);
  const auto reserve_numbers = [&](const char* name, const std::vector<double>& numbers) {
    pieces.push_back(reserve_dataset(file, name, H5T_IEEE_F64LE, {numbers.size()}, numbers.data(), message));
  };
  reserve_numbers("host_state", c.host_state);
  if (!c.best_losses.empty()) reserve_numbers("best_losses", c.best_losses);
  {
    const Handle ordered = own(H5Pcreate(H5P_GROUP_CREATE), message);
    hdf5::check(H5Pset_link_creation_order(ordered, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED), message);
    const Handle group = own(H5Gcreate2(file, "tensors", H5P_DEFAULT, ordered, H5P_DEFAULT), message);
    for (const Checkpoint::Tensor& t : c.tensors) {
      pieces.push_back(reserve_dataset(
          group, t.name, file_type(t.dtype),
          {static_cast<hsize_t>(t.shape.h), static_cast<hsize_t>(t.shape.w), static_cast<hsize_t>(t.shape.c)},
          t.data.data(), message));
    }
  }
  hdf5::check(file.close(), message);
  return pieces;
}

/// What save_checkpoint's caller must have kept to.
void require_writable(const Checkpoint& c) {
  const auto refuse = [](const std::string& what, const std::string& expected) {
    throw Error(ErrorCode::kInternal, "checkpoint: " + what + ": expected " + expected + ", found another");
  };
  for (const auto* texts : {&c.options, &c.inputs, &c.device}) {
    for (const auto& [name, text] : *texts) {
      if (name.empty()) refuse("text", "a name");
      if (text.size() > kMaxText || text.find('\0') != std::string::npos) refuse(name, "a short text");
    }
  }
  std::set<std::string> names;
  for (const Checkpoint::Tensor& t : c.tensors) {
    if (t.name.empty() || t.name.find_first_of("/.") != std::string::npos || !names.insert(t.name).second) {
      refuse(t.name, "a name of its own without / and .");
    }
    if (t.dtype != DType::kFloat32 && t.dtype != DType::kFloat64) refuse(t.name, "float32 or float64");
    if (t.shape.h < 1 || t.shape.w < 1 || t.shape.c < 1 ||
        t.data.size() != static_cast<std::size_t>(t.shape.elements()) * size_of(t.dtype)) {
      refuse(t.name, "data of its shape " + to_string(t.shape));
    }
  }
}

/// Takes the room on the disk, so that it cannot run out inside of HDF5.
void reserve(const NewFile& file, std::size_t bytes) {
  if (::fallocate(file.descriptor(), 0, 0, static_cast<off_t>(bytes)) != 0 && errno != EOPNOTSUPP &&
      errno != ENOSYS) {
    throw system_error(file.what(), "room for " + std::to_string(bytes) + " bytes");
  }
}

// --- reading

/// One open checkpoint file. Nothing in it is believed: kinds, types, ranks
/// and sizes are compared before any memory is taken, and data must lie
/// inside the file itself (no external files, no filters, no virtual parts).
class Reader {
 public:
  Reader(std::string what, const fs::path& path)
      : what_(std::move(what)), file_bytes_(static_cast<hsize_t>(fs::file_size(path))) {
    file_ = own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), damaged("structure").what());
  }

  Checkpoint read() {
    Checkpoint c;
    read_number(file_, "scale", H5T_STD_I64LE, &c.scale);
    read_number(file_, "iteration", H5T_STD_I64LE, &c.iteration);
    read_number(file_, "seconds", H5T_IEEE_F64LE, &c.seconds);
    if (c.scale < 0 || c.iteration < 0 || !(c.seconds >= 0) || !std::isfinite(c.seconds)) {
      throw damaged("progress");
    }
    c.options = read_texts("options");
    c.inputs = read_texts("inputs");
    if (has("device")) c.device = read_texts("device");
    c.host_state = read_numbers("host_state");
    if (has("best_losses")) c.best_losses = read_numbers("best_losses");
    read_tensors(c.tensors);
    return c;
  }

 private:
  [[nodiscard]] Error damaged(const std::string& part) const { return not_ours(what_, part); }

  [[nodiscard]] bool has(const char* name) const { return H5Lexists(file_, name, H5P_DEFAULT) > 0; }

  /// A member that is itself in this group: links to other places and files are refused.
  Handle open_member(hid_t group, const std::string& name, H5I_type_t kind) const {
    H5L_info_t link{};
    if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD) {
      throw damaged(name);
    }
    Handle object = own(H5Oopen(group, name.c_str(), H5P_DEFAULT), damaged(name).what());
    if (H5Iget_type(object) != kind) throw damaged(name);
    return object;
  }

  void read_number(hid_t object, const char* name, hid_t type, void* value) const {
    const std::string message = damaged(name).what();
    const Handle attribute = own(H5Aopen(object, name, H5P_DEFAULT), message);
    const Handle space = own(H5Aget_space(attribute), message), stored = own(H5Aget_type(attribute), message);
    if (H5Sget_simple_extent_type(space) != H5S_SCALAR || H5Tequal(stored, type) <= 0) throw damaged(name);
    hdf5::check(H5Aread(attribute, type, value), message);
  }

  std::map<std::string, std::string> read_texts(const char* group_name) const {
    const std::string message = damaged(group_name).what();
    const Handle group = open_member(file_, group_name, H5I_GROUP);
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* into) -> herr_t {
      auto& list = *static_cast<std::vector<std::string>*>(into);
      list.emplace_back(name);
      return list.size() > kMaxEntries ? -1 : 0;
    };
    hdf5::check(H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, collect, &names), message);
    std::map<std::string, std::string> texts;
    for (const std::string& name : names) {
      const Handle attribute = own(H5Aopen(group, name.c_str(), H5P_DEFAULT), message);
      const Handle space = own(H5Aget_space(attribute), message), type = own(H5Aget_type(attribute), message);
      const std::size_t size = H5Tget_size(type);
      if (H5Sget_simple_extent_type(space) != H5S_SCALAR || H5Tget_class(type) != H5T_STRING ||
          H5Tis_variable_str(type) != 0 || size < 1 || size > kMaxText) {
        throw damaged(name);
      }
      std::string text(size, '\0');
      hdf5::check(H5Aread(attribute, type, text.data()), message);
      texts[name] = text.substr(0, text.find('\0'));
    }
    return texts;
  }

  /// Sizes of a dataset of `rank` dimensions whose elements of the given type all lie in this file.
  std::vector<hsize_t> checked_dims(hid_t dataset, int rank, hid_t type, const std::string& name) {
    const std::string message = damaged(name).what();
    const Handle space = own(H5Dget_space(dataset), message), stored = own(H5Dget_type(dataset), message),
                 creation = own(H5Dget_create_plist(dataset), message);
    std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
    if (H5Sget_simple_extent_ndims(space) != rank ||
        H5Sget_simple_extent_dims(space, dims.data(), nullptr) != rank || H5Tequal(stored, type) <= 0 ||
        H5Pget_layout(creation) != H5D_CONTIGUOUS || H5Pget_external_count(creation) != 0) {
      throw damaged(name);
    }
    hsize_t bytes = H5Tget_size(stored);
    for (const hsize_t size : dims) {
      if (size == 0 && rank == 1) return dims;
      if (size == 0 || size > file_bytes_ / bytes) throw damaged(name);
      bytes *= size;
    }
    const haddr_t offset = H5Dget_offset(dataset);
    data_bytes_ += bytes;
    if (offset == HADDR_UNDEF || offset > file_bytes_ || bytes > file_bytes_ - offset ||
        data_bytes_ > file_bytes_) {  // also stops many datasets that share their bytes
      throw damaged(name);
    }
    return dims;
  }

  std::vector<double> read_numbers(const char* name) {
    const Handle dataset = open_member(file_, name, H5I_DATASET);
    const hsize_t size = checked_dims(dataset, 1, H5T_IEEE_F64LE, name)[0];
    if (size > kMaxNumbers) throw damaged(name);
    std::vector<double> numbers(size);
    if (size > 0) {
      hdf5::check(H5Dread(dataset, H5T_IEEE_F64LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()),
                  damaged(name).what());
    }
    return numbers;
  }

  void read_tensors(std::vector<Checkpoint::Tensor>& tensors) {
    const Handle group = open_member(file_, "tensors", H5I_GROUP);
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* into) -> herr_t {
      auto& list = *static_cast<std::vector<std::string>*>(into);
      list.emplace_back(name);
      return list.size() > kMaxTensors ? -1 : 0;
    };
    hdf5::check(H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, nullptr, collect, &names),
                damaged("tensors").what());
    for (const std::string& name : names) {
      const std::string message = damaged(name).what();
      const Handle dataset = open_member(group, name, H5I_DATASET);
      const Handle stored = own(H5Dget_type(dataset), message);
      Checkpoint::Tensor t;
      t.name = name;
      t.dtype = H5Tequal(stored, H5T_IEEE_F64LE) > 0 ? DType::kFloat64 : DType::kFloat32;
      const std::vector<hsize_t> dims = checked_dims(dataset, 3, file_type(t.dtype), name);
      t.shape = {static_cast<std::int64_t>(dims[0]), static_cast<std::int64_t>(dims[1]),
                 static_cast<std::int64_t>(dims[2])};
      t.data.resize(static_cast<std::size_t>(t.shape.elements()) * size_of(t.dtype));
      hdf5::check(H5Dread(dataset, file_type(t.dtype), H5S_ALL, H5S_ALL, H5P_DEFAULT, t.data.data()),
                  message);
      tensors.push_back(std::move(t));
    }
  }

  std::string what_;
  hsize_t file_bytes_, data_bytes_ = 0;
  Handle file_;
};

void require_same(const std::string& prefix, const std::map<std::string, std::string>& made_with,
                  const std::map<std::string, std::string>& given) {
  const auto fail = [&](const std::string& name, const std::string& expected, const std::string& found) {
    throw bad("checkpoint: " + prefix + name, expected + " (made with)", found);
  };
  for (const auto& [name, text] : made_with) {
    const auto other = given.find(name);
    if (other == given.end()) fail(name, text, "none");
    if (other->second != text) fail(name, text, other->second);
  }
  for (const auto& [name, text] : given) {
    if (!made_with.contains(name)) fail(name, "none", text);
  }
}

}  // namespace

void save_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  require_writable(checkpoint);
  const std::string what = path.string();
  std::size_t bytes = 1 << 16;  // of the structure around the tensors
  for (const Checkpoint::Tensor& t : checkpoint.tensors) bytes += t.data.size();
  NewFile file(what, path);
  reserve(file, bytes);
  const auto pieces = write_structure(file.temporary(), checkpoint,
                                      bad(what, "room for a checkpoint", "an error in writing it").what());
  for (const Piece& piece : pieces) file.write_at(piece.offset, piece.data, piece.bytes);
  const std::string block = user_block(what, file.temporary());
  file.write_at(0, block.data(), block.size());
  file.commit();
}

Checkpoint load_checkpoint(const fs::path& path) {
  const std::string what = path.string();
  {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) throw system_error(what, "a checkpoint");
    if (!S_ISREG(status.st_mode)) throw bad(what, "a checkpoint", "no regular file");
    std::ifstream file(path, std::ios::binary);
    if (!file) throw system_error(what, "a readable file");
    std::string block(kUserBlock, '\0');
    file.read(block.data(), kUserBlock);
    if (block.compare(0, std::strlen(kMagic), kMagic) != 0) {
      throw bad(what, "a checkpoint of this program", "another file");
    }
    if (file.gcount() != kUserBlock || block != user_block(what, path)) {
      throw bad(what, "a whole checkpoint", "one that is damaged or cut short");
    }
  }
  const hdf5::SilenceErrors silence;
  return Reader(what, path).read();
}

void require_same_run(const Checkpoint& checkpoint, const std::map<std::string, std::string>& options,
                      const std::map<std::string, std::string>& inputs) {
  require_same("option --", with_later_options(checkpoint.options), options);
  require_same("", checkpoint.inputs, inputs);
}

}  // namespace impasto
