CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.api_key (
    id text NOT NULL COLLATE pg_catalog."C",
    organization text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    digest bytea NOT NULL,
    scopes text NOT NULL,
    state text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    CONSTRAINT api_key_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT api_key_state_check CHECK ((state = ANY (ARRAY['active'::text, 'paused'::text, 'deactivated'::text])))
);
CREATE TABLE public.app (
    id text NOT NULL COLLATE pg_catalog."C",
    api_key text NOT NULL COLLATE pg_catalog."C",
    secret text NOT NULL,
    created_at bigint NOT NULL,
    CONSTRAINT app_secret_check CHECK (((length(secret) >= 1) AND (length(secret) <= 256)))
);
CREATE TABLE public.change_mark (
    slot text NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.copy_note (
    one integer NOT NULL,
    blobs text NOT NULL,
    is_whole bigint NOT NULL,
    CONSTRAINT copy_note_is_whole_check CHECK ((is_whole = ANY (ARRAY[(0)::bigint, (1)::bigint]))),
    CONSTRAINT copy_note_one_check CHECK ((one = 1))
);
CREATE TABLE public.denied_link (
    organization text NOT NULL COLLATE pg_catalog."C",
    link text NOT NULL COLLATE pg_catalog."C",
    expires bigint NOT NULL
);
CREATE TABLE public.file (
    organization text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    space text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    media_type text NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    purpose text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    deleted_at bigint,
    metadata text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    uploaded_by text COLLATE pg_catalog."C",
    damaged_at bigint,
    link_revision bigint NOT NULL,
    blob text COLLATE pg_catalog."C",
    path bytea,
    inode bigint,
    modified_nanos bigint,
    CONSTRAINT file_check CHECK (((deleted_at IS NULL) = (state = 'ready'::text))),
    CONSTRAINT file_check1 CHECK (((path IS NULL) <> (blob IS NULL))),
    CONSTRAINT file_check2 CHECK (((inode IS NULL) = (path IS NULL))),
    CONSTRAINT file_check3 CHECK (((modified_nanos IS NULL) = (path IS NULL))),
    CONSTRAINT file_link_revision_check CHECK ((link_revision >= 0)),
    CONSTRAINT file_sha256_check CHECK ((length(sha256) = 32)),
    CONSTRAINT file_size_check CHECK ((size >= 0)),
    CONSTRAINT file_state_check CHECK ((state = ANY (ARRAY['ready'::text, 'deleted'::text, 'swept'::text])))
);
CREATE TABLE public.file_count (
    organization text NOT NULL COLLATE pg_catalog."C",
    file text NOT NULL COLLATE pg_catalog."C",
    downloads bigint NOT NULL,
    whole bigint NOT NULL,
    bytes_sent bigint NOT NULL,
    last_at bigint
);
CREATE TABLE public.folder (
    organization text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.folder_file (
    organization text NOT NULL COLLATE pg_catalog."C",
    folder text NOT NULL COLLATE pg_catalog."C",
    file text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.folder_member (
    organization text NOT NULL COLLATE pg_catalog."C",
    folder text NOT NULL COLLATE pg_catalog."C",
    member text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.installation (
    one integer NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT installation_id_check CHECK ((length(id) = 32)),
    CONSTRAINT installation_one_check CHECK ((one = 1))
);
CREATE TABLE public.link_count (
    organization text NOT NULL COLLATE pg_catalog."C",
    link text NOT NULL COLLATE pg_catalog."C",
    expires bigint NOT NULL,
    downloads bigint NOT NULL,
    whole bigint NOT NULL,
    bytes_sent bigint NOT NULL,
    last_at bigint
);
CREATE TABLE public.organization (
    id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    epoch bigint NOT NULL,
    ready_files bigint DEFAULT 0 NOT NULL,
    created_at bigint NOT NULL,
    kept_files bigint DEFAULT 0 NOT NULL,
    kept_bytes bigint DEFAULT 0 NOT NULL,
    CONSTRAINT organization_epoch_check CHECK ((epoch >= 0)),
    CONSTRAINT organization_kept_bytes_check CHECK ((kept_bytes >= 0)),
    CONSTRAINT organization_kept_files_check CHECK ((kept_files >= 0)),
    CONSTRAINT organization_ready_files_check CHECK ((ready_files >= 0))
);
CREATE TABLE public.revocation_version (
    one integer NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT revocation_version_one_check CHECK ((one = 1))
)
WITH (fillfactor='10');
CREATE TABLE public.row_version (
    one integer NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT row_version_one_check CHECK ((one = 1))
)
WITH (fillfactor='10');
CREATE TABLE public.space (
    organization text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    created_at bigint NOT NULL
);
INSERT INTO public._sqlx_migrations VALUES (1, 'first', '2026-11-29 00:58:42.861079+00', true, '\x3161de4af775435e49ae67012146f4008688f08da0d0f4cdbe43584227056dd85de7645b17ccd61c62b2880b159a3c9c', 179714626);
INSERT INTO public._sqlx_migrations VALUES (2, 'kept', '2026-11-29 00:58:43.073875+00', true, '\xa5617aae65da82a9a2e83b98ed8003ae11f73dc9b96693e1f78a08569851550a21a378c0b9ea1f4c401b6d6fbdfea4d2', 47577628);
INSERT INTO public._sqlx_migrations VALUES (3, 'counts', '2026-11-29 00:58:43.152982+00', true, '\x1ff98de56291f0a54c78d258111c09534d94a321c31884618cff9b89e996e0549224a357a6cb44aae83f2395244e5ed6', 52501106);
INSERT INTO public._sqlx_migrations VALUES (4, 'installation', '2026-11-29 00:58:43.209477+00', true, '\xd15d97dd7db0b65fc535ac0b65b73b002e4be4c8c8d4dc81a5c3e157cb6010de57ee4cd2ea5e3ecee69c9b6b786c2007', 28320073);
INSERT INTO public._sqlx_migrations VALUES (5, 'copy note', '2026-11-29 00:58:43.238438+00', true, '\x79704cef034aea35f42ade6815989fb9fc435a7bc38c1a20a4c367f3b689f2b22a95f4fe42b87039cb0d3cb401deae76', 26998598);
INSERT INTO public.api_key VALUES ('key_8f82bd38ce942d29feb0beae8431585f', 'org_default', 'old', '\xc478a09fd77e6f5920883430f2427e3d5a1cc10c8c12c79cb187dd6747d1091f', 'read mint write', 'active', 1795913929, NULL);
INSERT INTO public.api_key VALUES ('key_e01a3fa5e4ba56dad9b3122de76b7357', 'acme', 'app', '\x38347dc0a1338a6739f653fc86f16c3bafa3bc504d07f5aedd2077953f769a1e', 'read mint write', 'active', 1795913929, NULL);
INSERT INTO public.app VALUES ('app_df9bbd4e8bf2d3d9e226f1775a38fd70', 'key_e01a3fa5e4ba56dad9b3122de76b7357', 'ti6e9lscxlDjAJo_llkpx_E_je2zaUJe5dxjCGb7RkQ', 1795913929);
INSERT INTO public.change_mark VALUES ('d006b048-8eaa-4f21-b38e-38f89834e83f', 1, 1795913924);
INSERT INTO public.change_mark VALUES ('039d6c30-b007-4ca6-8b7d-d310ebc114a9', 1, 1795913924);
INSERT INTO public.change_mark VALUES ('8c53a6d6-9096-4206-89a7-8ca32aaee1c2', 1, 1795913925);
INSERT INTO public.change_mark VALUES ('38ac5df1-e589-4bdb-9839-23dc6e7ba0b8', 1, 1795913925);
INSERT INTO public.change_mark VALUES ('ec12fb8d-8d87-42ac-9a7d-82c533a6678d', 1, 1795913925);
INSERT INTO public.change_mark VALUES ('bd3805d5-838c-4d5d-b684-9f9968d208a3', 1, 1795913925);
INSERT INTO public.change_mark VALUES ('4461507d-bd97-48fd-bd27-c40dfd2275a3', 1, 1795913926);
INSERT INTO public.change_mark VALUES ('d981fdba-2e5d-4aab-893e-fc49f4fdeb92', 1, 1795913927);
INSERT INTO public.change_mark VALUES ('c4f7f3fe-7ea9-4bc7-b8fa-cace1a01cf0f', 1, 1795913927);
INSERT INTO public.change_mark VALUES ('c6e36166-18d1-4a03-bb3a-ccecd0af3d9a', 1, 1795913928);
INSERT INTO public.change_mark VALUES ('c812b226-c2f4-4372-8451-437c25e1d4d2', 1, 1795913928);
INSERT INTO public.change_mark VALUES ('921045f0-0e5d-4552-83fb-100b299041c5', 1, 1795913928);
INSERT INTO public.change_mark VALUES ('c697dfd0-ec6b-4273-abcc-41fc5d38cd6e', 1, 1795913929);
INSERT INTO public.change_mark VALUES ('059d474d-a8c3-4399-b078-440642ee8dc0', 1, 1795913929);
INSERT INTO public.change_mark VALUES ('49bd579b-e9a1-4fb0-be0b-005bc302e219', 1, 1795913930);
INSERT INTO public.change_mark VALUES ('54d0cef0-15b1-4ac4-b1d1-6f6fd55e9f3e', 1, 1795913932);
INSERT INTO public.change_mark VALUES ('35ecf6f6-7f08-432b-a98e-d9c02608c57d', 1, 1795913932);
INSERT INTO public.change_mark VALUES ('635e9921-172b-4afd-b9cb-c83c00e9f025', 1, 1795913933);
INSERT INTO public.change_mark VALUES ('7e9e6e18-befa-4df1-b202-e589301aac57', 5, 1795913959);
INSERT INTO public.denied_link VALUES ('org_default', 'SQ3Lr9GaotPS', 1795917530);
INSERT INTO public.file VALUES ('org_default', 'one', 'space_default', 'one.txt', 'text/plain', 9, '\xe1676265d63fcc04108159825158db7935984e85d0860afe85f694ce1347084c', 'user_upload', 'ready', NULL, '{"colour":"blue"}', 1795913924, 1795913924, NULL, NULL, 0, '427aa87269800d979196ab78434f0c91', NULL, NULL, NULL);
INSERT INTO public.file VALUES ('org_default', 'three', 'space_default', 'three.bin', 'application/octet-stream', 70000, '\xbca09f4a757d5571c7d9f3341d4301f3c391c090826acc1a3013c6bcb7c01722', 'user_upload', 'ready', NULL, '{}', 1795913924, 1795913924, NULL, NULL, 0, '2cb27e79a87508fef5f514e3c102bf01', NULL, NULL, NULL);
INSERT INTO public.file VALUES ('org_default', 'gone', 'space_default', 'one.txt', 'text/plain', 9, '\xe1676265d63fcc04108159825158db7935984e85d0860afe85f694ce1347084c', 'user_upload', 'deleted', 1795913925, '{}', 1795913925, 1795913925, NULL, NULL, 0, 'af8b4f57e091f9375193caa52a575592', NULL, NULL, NULL);
INSERT INTO public.file VALUES ('acme', 'theirs', 'space_default', 'two.png', 'image/png', 20, '\xe287fa9f694b21b2ac34d8b5cefc88f046a6933bf850eda0a262b9e5d80adbdf', 'user_upload', 'ready', NULL, '{}', 1795913927, 1795913927, NULL, NULL, 0, 'c04bea0975155201fe52836916386dac', NULL, NULL, NULL);
INSERT INTO public.file VALUES ('org_default', 'two', 'space_default', 'zwei ü.png', 'image/png', 20, '\xe287fa9f694b21b2ac34d8b5cefc88f046a6933bf850eda0a262b9e5d80adbdf', 'user_upload', 'ready', NULL, '{}', 1795913924, 1795913924, NULL, NULL, 1, '13ec966f7a5205446cbddd7513231bdf', NULL, NULL, NULL);
INSERT INTO public.file_count VALUES ('org_default', 'one', 1, 1, 9, 1795913958);
INSERT INTO public.file_count VALUES ('org_default', 'three', 1, 1, 10, 1795913958);
INSERT INTO public.folder VALUES ('acme', 'shared', '', 1795913927);
INSERT INTO public.folder_file VALUES ('acme', 'shared', 'theirs');
INSERT INTO public.folder_member VALUES ('acme', 'shared', 'friend');
INSERT INTO public.installation VALUES (1, 'e2b200f571d941a38d37ecb31f4b8cb8');
INSERT INTO public.link_count VALUES ('org_default', 'QjiFZNUpWPpI', 1795917530, 1, 1, 9, 1795913958);
INSERT INTO public.link_count VALUES ('org_default', 'WLspU4VEYRZB', 1795917533, 1, 1, 10, 1795913958);
INSERT INTO public.organization VALUES ('org_default', '', 0, 3, 1795913923, 4, 70038);
INSERT INTO public.organization VALUES ('friend', '', 0, 0, 1795913926, 0, 0);
INSERT INTO public.organization VALUES ('acme', '', 1, 1, 1795913926, 1, 20);
INSERT INTO public.revocation_version VALUES (1, -2657386028850919095);
INSERT INTO public.row_version VALUES (1, -335037712227418097);
INSERT INTO public.space VALUES ('org_default', 'space_default', '', 1795913923);
INSERT INTO public.space VALUES ('acme', 'space_default', '', 1795913926);
INSERT INTO public.space VALUES ('friend', 'space_default', '', 1795913926);
INSERT INTO public.space VALUES ('acme', 'drafts', '', 1795913927);
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.app
    ADD CONSTRAINT app_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.change_mark
    ADD CONSTRAINT change_mark_pkey PRIMARY KEY (slot);
ALTER TABLE ONLY public.copy_note
    ADD CONSTRAINT copy_note_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.denied_link
    ADD CONSTRAINT denied_link_pkey PRIMARY KEY (organization, link);
ALTER TABLE ONLY public.file_count
    ADD CONSTRAINT file_count_pkey PRIMARY KEY (organization, file);
ALTER TABLE ONLY public.file
    ADD CONSTRAINT file_pkey PRIMARY KEY (organization, id);
ALTER TABLE ONLY public.folder_file
    ADD CONSTRAINT folder_file_pkey PRIMARY KEY (organization, folder, file);
ALTER TABLE ONLY public.folder_member
    ADD CONSTRAINT folder_member_pkey PRIMARY KEY (organization, folder, member);
ALTER TABLE ONLY public.folder
    ADD CONSTRAINT folder_pkey PRIMARY KEY (organization, id);
ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.link_count
    ADD CONSTRAINT link_count_pkey PRIMARY KEY (organization, link);
ALTER TABLE ONLY public.organization
    ADD CONSTRAINT organization_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.revocation_version
    ADD CONSTRAINT revocation_version_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.row_version
    ADD CONSTRAINT row_version_pkey PRIMARY KEY (one);
ALTER TABLE ONLY public.space
    ADD CONSTRAINT space_pkey PRIMARY KEY (organization, id);
CREATE INDEX api_key_organization ON public.api_key USING btree (organization, created_at, id);
CREATE INDEX app_api_key ON public.app USING btree (api_key);
CREATE INDEX denied_link_expires ON public.denied_link USING btree (expires);
CREATE INDEX file_blob ON public.file USING btree (blob) WHERE (blob IS NOT NULL);
CREATE INDEX file_deleted ON public.file USING btree (deleted_at, organization, id) WHERE (state = 'deleted'::text);
CREATE INDEX file_ready ON public.file USING btree (organization, created_at, id) WHERE (state = 'ready'::text);
CREATE INDEX file_ready_by_id ON public.file USING btree (organization, id) WHERE (state = 'ready'::text);
CREATE INDEX file_ready_of_purpose ON public.file USING btree (organization, purpose, created_at, id) WHERE (state = 'ready'::text);
CREATE INDEX file_ready_of_purpose_by_id ON public.file USING btree (organization, purpose, id) WHERE (state = 'ready'::text);
CREATE INDEX file_revised ON public.file USING btree (organization, id, link_revision) WHERE (link_revision > 0);
CREATE INDEX file_swept ON public.file USING btree (deleted_at) WHERE (state = 'swept'::text);
CREATE INDEX folder_file_file ON public.folder_file USING btree (organization, file);
CREATE INDEX folder_member_member ON public.folder_member USING btree (member, folder);
CREATE INDEX link_count_expires ON public.link_count USING btree (expires);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_organization_fkey FOREIGN KEY (organization) REFERENCES public.organization(id);
ALTER TABLE ONLY public.app
    ADD CONSTRAINT app_api_key_fkey FOREIGN KEY (api_key) REFERENCES public.api_key(id);
ALTER TABLE ONLY public.denied_link
    ADD CONSTRAINT denied_link_organization_fkey FOREIGN KEY (organization) REFERENCES public.organization(id);
ALTER TABLE ONLY public.file_count
    ADD CONSTRAINT file_count_organization_file_fkey FOREIGN KEY (organization, file) REFERENCES public.file(organization, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.file
    ADD CONSTRAINT file_organization_space_fkey FOREIGN KEY (organization, space) REFERENCES public.space(organization, id);
ALTER TABLE ONLY public.folder_file
    ADD CONSTRAINT folder_file_organization_file_fkey FOREIGN KEY (organization, file) REFERENCES public.file(organization, id) ON DELETE CASCADE;
ALTER TABLE ONLY public.folder_file
    ADD CONSTRAINT folder_file_organization_folder_fkey FOREIGN KEY (organization, folder) REFERENCES public.folder(organization, id);
ALTER TABLE ONLY public.folder_member
    ADD CONSTRAINT folder_member_member_fkey FOREIGN KEY (member) REFERENCES public.organization(id);
ALTER TABLE ONLY public.folder_member
    ADD CONSTRAINT folder_member_organization_folder_fkey FOREIGN KEY (organization, folder) REFERENCES public.folder(organization, id);
ALTER TABLE ONLY public.folder
    ADD CONSTRAINT folder_organization_fkey FOREIGN KEY (organization) REFERENCES public.organization(id);
ALTER TABLE ONLY public.link_count
    ADD CONSTRAINT link_count_organization_fkey FOREIGN KEY (organization) REFERENCES public.organization(id);
ALTER TABLE ONLY public.space
    ADD CONSTRAINT space_organization_fkey FOREIGN KEY (organization) REFERENCES public.organization(id);
