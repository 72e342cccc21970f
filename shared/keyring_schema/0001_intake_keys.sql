-- A service's intake key pairs, apart from the data they open. The private half is sealed by the master key, which is not here.
create table intake_keys (
    key_id         text        not null primary key,
    public_key     text        not null,
    private_sealed bytea       not null,
    created_at     timestamptz not null,
    expires_at     timestamptz not null
);
