# SPDX-License-Identifier: Apache-2.0
# The emulated device: its libraries in the two builds, and their own tests. A part of ../Makefile, which has the flags and the rule
# `modules` for kernels. Gives emulated_LIBS, emulated-check_LIBS, STAND_IN and the target selftest.

EMU_SELF     := $(lastword $(MAKEFILE_LIST))
CORE_SOURCES := $(filter-out $(EMU)/core/check_%,$(sort $(wildcard $(EMU)/core/*.cpp $(EMU)/driver/*.cpp $(EMU)/ptx/*.cpp)))
CHECK_ONLY   := $(sort $(wildcard $(EMU)/core/check_*.cpp))
BLAS_SOURCES := $(sort $(wildcard $(EMU)/cublas/*.cpp))
DNN_SOURCES  := $(sort $(wildcard $(EMU)/cudnn/*.cpp)) $(EMU)/cublas/gemm_kernel.cpp $(EMU)/cublas/worker_pool.cpp

# A library that exports one prefix under one symbol version. $(1): name and version, $(2): prefix
define facade
@mkdir -p $(@D)
$(Q)printf '$(1) { global: $(2)*; local: *; };\n' > $@.map
@echo "  CXX $(@F) ($(notdir $(@D)))"
$(Q)$(CXX) $(LINK) $(SANITIZE) -Wl,-z,nodelete -Wl,-soname,$(1) -Wl,--version-script=$@.map $^ -o $@
endef

# ---- the two emulated devices. $(1): output folder, $(2): extra flags, $(3): sources of libcuda
define device
$(1)_OBJECTS := $$(patsubst $$(ROOT)/%.cpp,$$(BUILD)/obj/$(1)/%.o,$(3))
$(1)_BLAS    := $$(patsubst $$(ROOT)/%.cpp,$$(BUILD)/obj/$(1)/%.o,$$(BLAS_SOURCES))
$(1)_DNN     := $$(patsubst $$(ROOT)/%.cpp,$$(BUILD)/obj/$(1)/%.o,$$(DNN_SOURCES))
$(1)_LIBS    := $$(addprefix $$(BUILD)/$(1)/,libcuda.so.1 libcublas.so.12 libcudnn.so.9)

$$(BUILD)/obj/$(1)/%.o: $$(ROOT)/%.cpp $$(SELF) $$(EMU_SELF)
	@mkdir -p $$(@D)
	@echo "  CXX $$(@F) ($$(notdir $$(@D)))"
	$$(Q)$$(CXX) $$(COMMON) $(2) $$(SANITIZE) -I$$(EMU)/core -I$$(ROOT)/include -c $$< -o $$@

# Stays loaded: its worker threads and signal handlers cannot be taken back.
$$(BUILD)/$(1)/libcuda.so.1: $$($(1)_OBJECTS)
	@mkdir -p $$(@D)
	@echo "  CXX $$(@F) ($$(notdir $$(@D)))"
	$$(Q)$$(CXX) $$(LINK) $$(SANITIZE) -Wl,-z,nodelete -Wl,-soname,libcuda.so.1 $$^ -o $$@ -ldl

# Users of cuBLAS and cuDNN are linked against symbols with the version that is the library's name.
$$(BUILD)/$(1)/libcublas.so.12: $$($(1)_BLAS) $$(BUILD)/$(1)/libcuda.so.1
	$$(call facade,libcublas.so.12,cublas)

$$(BUILD)/$(1)/libcudnn.so.9: $$($(1)_DNN) $$(BUILD)/$(1)/libcuda.so.1
	$$(call facade,libcudnn.so.9,cudnn)

-include $$($(1)_OBJECTS:.o=.d) $$($(1)_BLAS:.o=.d) $$($(1)_DNN:.o=.d)
endef
$(eval $(call device,emulated,,$(CORE_SOURCES)))
$(eval $(call device,emulated-check,-DEMU_CHECK,$(CORE_SOURCES) $(CHECK_ONLY)))

# ---- stand-ins, for tests of what happens on other machines (StandInTest): the emulated cuBLAS under the name that it has in CUDA 13, once
# whole and once with nothing but the functions that this library calls; and drivers that are too old, in trouble, or another GPU's
STAND_INS    := $(BUILD)/stand-in
CUBLAS_CALLS := $(foreach call,Create_v2 Destroy_v2 SetStream_v2 SetMathMode SetWorkspace_v2 GemmEx,cublas$(call);)
$(STAND_INS)/libcublas.so.13 $(STAND_INS)/few/libcublas.so.13: $(emulated_BLAS) $(BUILD)/emulated/libcuda.so.1
	@mkdir -p $(@D)
	$(Q)printf 'libcublas.so.13 { global: $(if $(findstring /few/,$@),$(CUBLAS_CALLS),cublas*;) local: *; };\n' > $@.map
	@echo "  CXX $(@F) ($(notdir $(@D)))"
	$(Q)$(CXX) $(LINK) -Wl,-z,nodelete -Wl,-soname,libcublas.so.13 -Wl,--version-script=$@.map $^ -o $@

# A cuBLAS 12 whose second library is not there, as where parts of two CUDA versions are installed.
$(STAND_INS)/half/libcublas.so.12: $(EMU_SELF)
	@mkdir -p $(@D)
	$(Q)$(CXX) -shared -x c++ /dev/null -Wl,-soname,libcublasLt.so.12 -o $@.needed
	$(Q)$(CXX) -shared -Wl,-soname,libcublas.so.12 -Wl,--no-as-needed $@.needed -o $@ && rm $@.needed

# The emulated driver under another name, with a driver in front that answers some of its functions.
$(STAND_INS)/libcuda-behind.so: $(emulated_OBJECTS)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LINK) -Wl,-z,nodelete -Wl,-soname,libcuda-behind.so $^ -o $@ -ldl
$(STAND_INS)/%/libcuda.so.1: $(EMU)/stand-in/%.cpp $(EMU)/stand-in/front.h $(STAND_INS)/libcuda-behind.so $(EMU_SELF)
	@mkdir -p $(@D)
	@echo "  CXX $(@F) ($(notdir $(@D)))"
	$(Q)$(CXX) -std=c++20 -O2 -fPIC $(WARN) -shared -Wl,-z,nodelete -Wl,--no-as-needed -Wl,-soname,libcuda.so.1 $< \
	  $(STAND_INS)/libcuda-behind.so '-Wl,-rpath,$$ORIGIN' -o $@ -ldl
STAND_IN := $(addprefix $(STAND_INS)/,libcublas.so.13 few/libcublas.so.13 half/libcublas.so.12) \
            $(patsubst $(EMU)/stand-in/%.cpp,$(STAND_INS)/%/libcuda.so.1,$(wildcard $(EMU)/stand-in/*.cpp))

# ---- the emulated devices' own tests
TEST_SOURCES := $(sort $(wildcard $(EMU)/*/selftest/*.cpp))
TEST_KERNELS := $(sort $(wildcard $(EMU)/core/selftest/*.cu))
define selftest
$(1)_TESTS := $$(patsubst $$(ROOT)/%.cpp,$$(BUILD)/obj/$(1)/%.o,$$(TEST_SOURCES))
$(1)_TEST_MODULES := $$(patsubst $$(EMU)/core/selftest/%.cu,$$(BUILD)/selftest/$(1)/%.so,$$(TEST_KERNELS))

$$($(1)_TESTS): COMMON += -DSELFTEST_SOURCES='"$$(EMU)/core/selftest"'
$$(BUILD)/selftest/$(1)/selftest: $$($(1)_TESTS) $$($(1)_LIBS) | $$($(1)_TEST_MODULES)
	@mkdir -p $$(@D)
	@echo "  CXX $$(@F) ($$(notdir $$(@D)))"
	$$(Q)$$(CXX) -pthread $$(SANITIZE) $$^ '-Wl,-rpath,$$$$ORIGIN/../../$(1)' -o $$@

-include $$($(1)_TESTS:.o=.d) $$($(1)_TEST_MODULES:.so=.d)
.PHONY: selftest-$(1)
selftest-$(1): $$(BUILD)/selftest/$(1)/selftest $$($(1)_TEST_MODULES)
	$$(EMU)/driver/check_symbols.sh $$(BUILD)/$(1)/libcuda.so.1 $$(EMU)/driver/jcuda_symbols.txt
	$$(EMU)/driver/check_symbols.sh $$(BUILD)/$(1)/libcublas.so.12 $$(EMU)/cublas/jcublas_symbols.txt libcublas.so.12
	$$(EMU)/driver/check_symbols.sh $$(BUILD)/$(1)/libcudnn.so.9 $$(EMU)/cudnn/jcudnn_symbols.txt libcudnn.so.9
	$$<
endef
# -w: these kernels are wrong on purpose.
$(eval $(call modules,emulated,$(EMU)/core/selftest,$(BUILD)/selftest/emulated,$(FAST) -w))
$(eval $(call modules,emulated-check,$(EMU)/core/selftest,$(BUILD)/selftest/emulated-check,$(INSPECT) -w))
$(eval $(call selftest,emulated))
$(eval $(call selftest,emulated-check))
selftest: selftest-emulated selftest-emulated-check

# ---- the same tests of the driver, cuBLAS and cuDNN with their every access and arithmetic inspected. Kernels stay as they are: the check
# build inspects those. Fibers change stacks, and invalid addresses of the device are answered by our own signal handler.
SANITIZERS   := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ASAN_OPTIONS := detect_stack_use_after_return=0:detect_leaks=0:use_sigaltstack=0:handle_segv=0:handle_sigbus=0
.PHONY: sanitize
sanitize:
	$(Q)ASAN_OPTIONS=$(ASAN_OPTIONS) $(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) BUILD=$(BUILD)/sanitized \
	  SANITIZE='$(SANITIZERS)' selftest-emulated
